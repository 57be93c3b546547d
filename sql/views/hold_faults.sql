-- What is wrong with holds, as far as their parts, captures and keys tell. For `discrepancies`, and
-- nobody else.
create or replace view credits_private.hold_faults as
-- A hold was made with the parts that reserve it, and names the last of all.
select
  'held_equals_open_holds' as invariant,
  h.account_id,
  (p.amount, p.created_at, p.last_part_id)::text as expected,
  (h.amount, h.created_at, h.last_part_id)::text as actual,
  format('what hold %s reserved', h.hold_id) as subject
from credits_private.holds as h
left join (
  select p.account_id, p.hold_id, max(p.part_id) as last_part_id,
    sum(p.amount) filter (where p.amount > 0) as amount,
    max(p.created_at) filter (where p.amount > 0) as created_at
  from credits_private.hold_parts as p
  group by p.account_id, p.hold_id
) as p on p.account_id = h.account_id and p.hold_id = h.hold_id
where (h.amount is distinct from p.amount or h.created_at is distinct from p.created_at
      or h.last_part_id is distinct from p.last_part_id)

union all
-- A part is of the moment at which the hold was made, captured or ended, and booked then, but for the
-- end of one that expired, which can be booked later.
select
  'held_equals_open_holds' as invariant,
  p.account_id,
  'when its hold was made, captured or ended' as expected,
  (p.effective_at, p.created_at)::text as actual,
  format('part %s of hold %s', p.part_id, p.hold_id) as subject
from credits_private.hold_parts as p
join credits_private.holds as h on h.account_id = p.account_id and h.hold_id = p.hold_id
where (p.created_at = p.effective_at
      or h.state = 'expired' and p.created_at > p.effective_at
        and p.effective_at = h.resolved_at) is not true
  or case
    when p.amount > 0 then p.effective_at <> h.created_at
    else p.effective_at is distinct from h.resolved_at and not exists (
      select from credits_private.entries as e
      where e.account_id = p.account_id and e.kind = 'capture' and e.refunded_entry_id is null
        and e.hold_id = p.hold_id and e.effective_at = p.effective_at)
  end

union all
-- A hold that was captured ended with its final capture. One that was released did so with its last
-- part, unless it had nothing left: then that part was a capture's.
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
where h.state = 'captured' and h.resolved_at <> e.effective_at
  or h.resolved_at < p.effective_at
  or h.state = 'released' and h.resolved_at > p.effective_at and not exists (
    select from credits_private.entries as e
    where e.account_id = h.account_id and e.kind = 'capture' and e.refunded_entry_id is null
      and e.hold_id = h.hold_id and e.effective_at = p.effective_at)
  or h.expires_at <= h.created_at or h.resolved_at > h.expires_at

union all
-- A capture is of a hold.
select
  'a_hold_is_resolved_once' as invariant,
  e.account_id,
  'a hold' as expected,
  'none' as actual,
  format('hold %s', e.hold_id) as subject
from credits_private.entries as e
left join credits_private.holds as h on h.account_id = e.account_id and h.hold_id = e.hold_id
where e.kind = 'capture' and e.entry_id = e.transaction_id and h.hold_id is null

union all
-- Parts are numbered 1, 2, 3, ..., belong to a hold, and no time of them runs back.
select
  'held_equals_open_holds' as invariant,
  p.account_id,
  coalesce(p.previous_part_id + 1, 1)::text as expected,
  p.part_id::text as actual,
  format('part %s of hold %s', p.part_id, p.hold_id) as subject
from (
  select p.account_id, p.part_id, p.hold_id, p.created_at,
    lag(p.part_id) over (partition by p.account_id order by p.part_id) as previous_part_id,
    lag(p.created_at) over (partition by p.account_id order by p.part_id) as previous_created_at
  from credits_private.hold_parts as p
) as p
left join credits_private.holds as h on h.account_id = p.account_id and h.hold_id = p.hold_id
where p.part_id <> coalesce(p.previous_part_id + 1, 1) or p.created_at < p.previous_created_at
  or h.hold_id is null;

revoke all on credits_private.hold_faults from public;
