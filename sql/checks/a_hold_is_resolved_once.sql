create or replace view credits_private.check_a_hold_is_resolved_once as
-- A hold ends once: by a final capture, or by a release or an expiry without one. Nothing is
-- captured after its end.
select
  'a_hold_is_resolved_once' as invariant,
  h.account_id,
  case when h.state = 'captured' then '1 final capture, the last'
    else 'no final capture, none after the end' end as expected,
  format('%s, %s after the end', coalesce(e.final, 0), coalesce(e.late, 0)) as actual,
  format('hold %s', h.hold_id) as subject
from credits_private.holds as h
left join (
  select e.account_id, e.hold_id,
    count(*) filter (where e.is_final and e.entry_id = e.transaction_id) as final,
    count(*) filter (where e.effective_at > h.resolved_at) as late
  from credits_private.entries as e
  left join credits_private.holds as h on h.account_id = e.account_id and h.hold_id = e.hold_id
  where e.hold_id is not null
  group by e.account_id, e.hold_id
) as e on e.account_id = h.account_id and e.hold_id = h.hold_id
where coalesce(e.final, 0) <> (h.state = 'captured')::int or coalesce(e.late, 0) > 0
  or (h.resolved_at is null) <> (h.state = 'open')

union all
-- A captured hold ended with its final capture. A released hold ended with its last part, unless
-- it had nothing left: then that part belongs to a capture.
select
  'a_hold_is_resolved_once' as invariant,
  h.account_id,
  coalesce(e.effective_at, p.effective_at)::text as expected,
  h.resolved_at::text as actual,
  format('the end of hold %s', h.hold_id) as subject
from credits_private.holds as h
left join credits_private.hold_parts as p
  on p.account_id = h.account_id and p.part_id = h.last_part_id
left join credits_private.entries as e
  on e.account_id = h.account_id and e.kind = 'capture' and e.refunded_entry_id is null
  and e.hold_id = h.hold_id and e.is_final and e.entry_id = e.transaction_id
-- With offset 0, captures are looked up one by one: without it, those of all accounts may be read.
where h.state = 'captured' and h.resolved_at <> e.effective_at
  or h.resolved_at < p.effective_at
  or h.state = 'released' and h.resolved_at > p.effective_at and not exists (
    select from credits_private.entries as e
    where e.account_id = h.account_id and e.kind = 'capture' and e.refunded_entry_id is null
      and e.hold_id = h.hold_id and e.effective_at = p.effective_at
    offset 0)
  or h.expires_at <= h.created_at or h.resolved_at > h.expires_at

union all
-- Each capture belongs to a hold.
select
  'a_hold_is_resolved_once' as invariant,
  e.account_id,
  'a hold' as expected,
  'none' as actual,
  format('hold %s', e.hold_id) as subject
from credits_private.entries as e
left join credits_private.holds as h on h.account_id = e.account_id and h.hold_id = e.hold_id
where e.kind = 'capture' and e.entry_id = e.transaction_id and h.hold_id is null;
