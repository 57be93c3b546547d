create or replace view credits.holds as
select
  h.account_id,
  h.hold_id,
  case
    when h.state = 'open' and h.expires_at <= c.now then 'expired'
    else h.state
  end as state,
  h.amount,
  case when h.expires_at > c.now then h.held else 0 end as held,
  e.captured,
  h.api_key_id,
  h.operation,
  h.run_id,
  h.expires_at,
  case
    when h.state = 'open' and h.expires_at <= c.now then h.expires_at
    else h.resolved_at
  end as resolved_at,
  h.metadata,
  h.created_at
from credits_private.holds as h
cross join lateral (select clock_timestamp() as now) as c
cross join lateral (
  select least(coalesce(-sum(e.amount), 0), 9223372036854775807)::bigint as captured
  from credits_private.entries as e
  where e.account_id = h.account_id and e.kind = 'capture' and e.refunded_entry_id is null
    and e.hold_id = h.hold_id
) as e;

comment on view credits.holds is $comment$
One row per hold, with what it still reserves. Its state is 'open', 'captured', 'released' or
'expired', the latter from the very instant, whether or not that has been settled.
$comment$;

comment on column credits.holds.amount is 'what was asked for';
comment on column credits.holds.held is 'what is still reserved';
comment on column credits.holds.captured is 'what its captures took, refunds not subtracted';
comment on column credits.holds.expires_at is 'when it ends by itself';
comment on column credits.holds.resolved_at is 'when it ended';
