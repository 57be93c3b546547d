-- requires: private/remainders.sql
--
-- An account on which nothing is due is read as it is stored. For any other, grants_at works out
-- what settling would leave, one account at a time.
create or replace view credits.grants as
select
  g.account_id,
  g.grant_id,
  case
    when g.cancelled_at is not null then 'cancelled'
    when g.is_scheduled and g.effective_at > f.now then 'scheduled'
    when g.expires_at <= f.now then 'expired'
    when f.remaining = 0 then 'spent'
    else 'active'
  end as state,
  g.amount,
  f.remaining,
  g.source,
  g.priority,
  g.operations,
  g.effective_at,
  g.expires_at,
  g.origin_grant_id,
  g.paid_amount,
  g.paid_currency,
  g.metadata,
  g.created_at,
  f.held,
  g.revoked,
  g.taken
from credits_private.grants as g
join (
  select n.account_id, n.grant_id, n.remaining, n.held, a.now
  from (
    select a.account_id, a.due_at, clock_timestamp() as now
    from credits_private.accounts as a
  ) as a
  join credits_private.remainders as n on n.account_id = a.account_id
  where a.due_at > a.now
  union all
  select a.account_id, n.grant_id, n.remaining, n.held, a.now
  from (
    select a.account_id, a.due_at, clock_timestamp() as now
    from credits_private.accounts as a
  ) as a
  cross join lateral credits_private.grants_at(a.account_id, a.now) as n
  where a.due_at <= a.now
) as f on f.account_id = g.account_id and f.grant_id = g.grant_id;

comment on view credits.grants is $comment$
One row per grant, with what is left of it now, whether or not what is due has been settled.
$comment$;

comment on column credits.grants.state is
  '''active'', ''spent'', ''expired'', ''scheduled'' or ''cancelled''';
comment on column credits.grants.amount is 'what was granted';
comment on column credits.grants.remaining is 'what is left, held or free';
comment on column credits.grants.operations is
  'the operations that may draw on it; null for every operation';
comment on column credits.grants.origin_grant_id is
  'the expired grant whose credits a refund gave back as this one';
comment on column credits.grants.held is 'what open holds have reserved of it';
comment on column credits.grants.revoked is 'what revocations have asked back';
comment on column credits.grants.taken is 'how much of that was taken, or booked as debt';
