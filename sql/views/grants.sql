create or replace view credits.grants as
select
  g.account_id,
  g.grant_id,
  case
    when g.expires_at <= clock_timestamp() then 'expired'
    when g.remaining = 0 then 'spent'
    else 'active'
  end as state,
  g.amount,
  g.remaining,
  g.source,
  g.priority,
  g.operations,
  g.effective_at,
  g.expires_at,
  g.origin_grant_id,
  g.paid_amount,
  g.paid_currency,
  g.metadata,
  g.created_at
from credits_private.grants as g;

comment on view credits.grants is $comment$
One row per grant, with what is left of it.
$comment$;

comment on column credits.grants.state is '''active'', ''spent'' or ''expired''';
comment on column credits.grants.amount is 'what was granted';
comment on column credits.grants.remaining is 'what is left';
comment on column credits.grants.operations is 'its scope; null is every operation';
comment on column credits.grants.origin_grant_id is 'the expired grant that a refund replaces';
