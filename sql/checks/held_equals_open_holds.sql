-- What is held is the sum of the parts of open holds.
create or replace view credits_private.check_held_equals_open_holds as
-- An account, and its overdraft, hold what the parts add up to.
select
  'held_equals_open_holds' as invariant,
  a.account_id,
  (coalesce(p.held, 0), coalesce(p.overdraft_held, 0), coalesce(p.parts, 0))::text as expected,
  (a.held, a.overdraft_held, a.last_part_id)::text as actual,
  'held' as subject
from credits_private.accounts as a
left join (
  select p.account_id, sum(p.amount) as held, count(*) as parts,
    coalesce(sum(p.amount) filter (where p.grant_id is null), 0) as overdraft_held
  from credits_private.hold_parts as p
  group by p.account_id
) as p on p.account_id = a.account_id
where (a.held, a.overdraft_held, a.last_part_id)
  <> (coalesce(p.held, 0), coalesce(p.overdraft_held, 0), coalesce(p.parts, 0))

union all
-- A hold holds what its parts add up to, and nothing once it has ended.
select
  'held_equals_open_holds' as invariant,
  h.account_id,
  coalesce(p.held, 0)::text as expected,
  h.held::text as actual,
  format('hold %s', h.hold_id) as subject
from credits_private.holds as h
left join (
  select p.account_id, p.hold_id, sum(p.amount) as held
  from credits_private.hold_parts as p
  group by p.account_id, p.hold_id
) as p on p.account_id = h.account_id and p.hold_id = h.hold_id
where h.held <> coalesce(p.held, 0) or (h.held <> 0 and h.state <> 'open')

union all
-- A grant holds what its parts add up to.
select
  'held_equals_open_holds' as invariant,
  g.account_id,
  coalesce(p.held, 0)::text as expected,
  g.held::text as actual,
  format('grant %s', g.grant_id) as subject
from credits_private.grants as g
left join (
  select p.account_id, p.grant_id, sum(p.amount) as held
  from credits_private.hold_parts as p
  where p.grant_id is not null
  group by p.account_id, p.grant_id
) as p on p.account_id = g.account_id and p.grant_id = g.grant_id
where g.held <> coalesce(p.held, 0)

union all
-- A hold was made with the parts that reserve its credits, and names its last part.
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
-- A part has the moment at which its hold was made, captured or ended, and was booked at that
-- moment. Only the end of a hold that expired may be booked later.
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
  -- With offset 0, captures are looked up one by one: without it, all accounts' may be read.
  or case
    when p.amount > 0 then p.effective_at <> h.created_at
    else p.effective_at is distinct from h.resolved_at and not exists (
      select from credits_private.entries as e
      where e.account_id = p.account_id and e.kind = 'capture' and e.refunded_entry_id is null
        and e.hold_id = p.hold_id and e.effective_at = p.effective_at
      offset 0)
  end

union all
-- Parts are numbered 1, 2, 3, ..., belong to a hold, and never run back in time.
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
  or h.hold_id is null

union all
-- When one statement writes several parts, the first of them carries their number, and the others
-- carry zero.
select
  'held_equals_open_holds' as invariant,
  s.account_id,
  format('%s parts', s.statement_parts) as expected,
  format('%s parts', s.parts) as actual,
  format('the statement that wrote part %s', coalesce(s.first_part_id, s.part_id)) as subject
from (
  select s.account_id, s.first_part_id, max(s.statement_parts) as statement_parts,
    count(*) as parts, min(s.part_id) as part_id, max(s.part_id) as last_part_id
  from (
    select p.account_id, p.part_id, p.statement_parts,
      max(case when p.statement_parts > 0 then p.part_id end)
        over (partition by p.account_id order by p.part_id) as first_part_id
    from credits_private.hold_parts as p
    where p.statement_parts is not null
  ) as s
  group by s.account_id, s.first_part_id
) as s
where s.first_part_id is null or s.parts < 2 or s.parts <> s.statement_parts
  or s.last_part_id <> s.first_part_id + s.parts - 1;
