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
  coalesce(e.captured, 0) as captured,
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
left join lateral (
  select least(-sum(e.amount), 9223372036854775807)::bigint as captured
  from credits_private.entries as e
  where e.account_id = h.account_id and e.kind = 'capture' and e.refunded_entry_id is null
    and e.hold_id = h.hold_id
  group by e.account_id
) as e on true;

comment on view credits.holds is $comment$
One row per hold, with what it still reserves. Its state is 'open', 'captured', 'released' or
'expired'. A hold is 'expired' from the very instant, whether or not its end has been settled.
$comment$;

comment on column credits.holds.amount is 'what was asked for when it was made';
comment on column credits.holds.held is 'what is still reserved';
comment on column credits.holds.captured is 'what its captures took; refunds are not subtracted';
comment on column credits.holds.expires_at is 'when it ends by itself, unless it is extended';
comment on column credits.holds.resolved_at is 'when it ended';
