create or replace view credits.grants as
select
  g.account_id,
  g.grant_id,
  case
    when g.cancelled_at is not null then 'cancelled'
    when g.is_scheduled and g.effective_at > clock_timestamp() then 'scheduled'
    when g.expires_at <= clock_timestamp() then 'expired'
    when g.remaining = 0 and not g.is_scheduled then 'spent'
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
  g.created_at,
  g.held,
  g.revoked,
  g.taken
from credits_private.grants as g;

comment on view credits.grants is $comment$
One row per grant, with what is left of it.
$comment$;

comment on column credits.grants.state is 
  '''active'', ''spent'', ''expired'', ''scheduled'' or ''cancelled''';
comment on column credits.grants.amount is 'what was granted';
comment on column credits.grants.remaining is 'what is left, held or free';
comment on column credits.grants.operations is 'its scope; null is every operation';
comment on column credits.grants.origin_grant_id is
  'the grant whose credits a refund gave back here, as it had expired';
comment on column credits.grants.held is 'what open holds have reserved of it';
comment on column credits.grants.revoked is 'what was asked back of it';
comment on column credits.grants.taken is 'what of that was taken, or booked as debt';
