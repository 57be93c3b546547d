-- Each counter names the last row that it counts, and that row exists.
create or replace view credits_private.check_counters_change_only_with_the_ledger as
-- A grant names its last entry.
select
  'counters_change_only_with_the_ledger' as invariant,
  g.account_id,
  coalesce(e.last_entry_id, 0)::text as expected,
  g.last_entry_id::text as actual,
  format('grant %s', g.grant_id) as subject
from credits_private.remainders as g
left join (
  select e.account_id, v.grant_id, max(e.entry_id) as last_entry_id
  from credits_private.entries as e
  cross join lateral (values (e.grant_id), (e.revoked_grant_id)) as v (grant_id)
  group by e.account_id, v.grant_id
) as e on e.account_id = g.account_id and e.grant_id = g.grant_id
where g.last_entry_id <> coalesce(e.last_entry_id, 0)

union all
-- A usage counter names the last entry that it counts.
select
  'counters_change_only_with_the_ledger' as invariant,
  u.account_id,
  coalesce(e.last_entry_id, 0)::text as expected,
  u.last_entry_id::text as actual,
  format('period %s, api key %s, operation %s', u.period, u.api_key_id, u.operation) as subject
from credits_private.usage_counters as u
left join (
  select
    e.account_id, e.period, coalesce(e.api_key_id, '') as api_key_id,
    coalesce(e.operation, '') as operation, max(e.entry_id) as last_entry_id
  from credits_private.entries as e
  where e.kind in ('deduction', 'capture', 'refund')
  group by 1, 2, 3, 4
) as e
  on e.account_id = u.account_id and e.period = u.period
  and e.api_key_id = u.api_key_id and e.operation = u.operation
where u.last_entry_id <> coalesce(e.last_entry_id, 0)

union all
-- The last moment of an account is that of its last entry, or a later one.
select
  'counters_change_only_with_the_ledger' as invariant,
  a.account_id,
  e.effective_at::text as expected,
  a.last_effective_at::text as actual,
  'last_effective_at' as subject
from credits_private.accounts as a
join credits_private.entries as e
  on e.account_id = a.account_id and e.entry_id = a.last_entry_id
where a.last_effective_at <> e.effective_at or a.last_created_at < e.created_at

union all
-- The last grant of an account has the number that the account has counted up to.
select
  'counters_change_only_with_the_ledger' as invariant,
  a.account_id,
  coalesce(g.last_id, 0)::text as expected,
  a.last_grant_id::text as actual,
  'last_grant_id' as subject
from credits_private.accounts as a
left join (
  select g.account_id, max(g.grant_id) as last_id
  from credits_private.grants as g
  group by g.account_id
) as g on g.account_id = a.account_id
where a.last_grant_id <> coalesce(g.last_id, 0)

union all
-- The last hold of an account has the number that the account has counted up to.
select
  'counters_change_only_with_the_ledger' as invariant,
  a.account_id,
  coalesce(h.last_id, 0)::text as expected,
  a.last_hold_id::text as actual,
  'last_hold_id' as subject
from credits_private.accounts as a
left join (
  select h.account_id, max(h.hold_id) as last_id
  from credits_private.holds as h
  group by h.account_id
) as h on h.account_id = a.account_id
where a.last_hold_id <> coalesce(h.last_id, 0)

union all
-- An account says whether it has limits.
select
  'counters_change_only_with_the_ledger' as invariant,
  a.account_id,
  (l.account_id is not null)::text as expected,
  a.has_limits::text as actual,
  'has_limits' as subject
from credits_private.accounts as a
left join (
  select l.account_id
  from credits_private.limits as l
  group by l.account_id
) as l on l.account_id = a.account_id
where a.has_limits <> (l.account_id is not null)

union all
-- An account says whether it has keys of calls that wrote no entry.
select
  'counters_change_only_with_the_ledger' as invariant,
  a.account_id,
  (k.account_id is not null)::text as expected,
  a.has_keys::text as actual,
  'has_keys' as subject
from credits_private.accounts as a
left join (
  select k.account_id
  from credits_private.idempotency_keys as k
  where k.transaction_id is null
  group by k.account_id
) as k on k.account_id = a.account_id
where a.has_keys <> (k.account_id is not null)

union all
-- Grants and holds are numbered 1, 2, 3, ...
select
  'counters_change_only_with_the_ledger' as invariant,
  a.account_id,
  format('1 to %s', coalesce(r.last_id, 0)) as expected,
  format('%s, %s to %s', coalesce(r.rows, 0), r.first_id, r.last_id) as actual,
  r.subject
from credits_private.accounts as a
join (
  select g.account_id, 'grants' as subject, count(*) as rows, min(g.grant_id) as first_id,
    max(g.grant_id) as last_id
  from credits_private.grants as g
  group by 1
  union all
  select h.account_id, 'holds' as subject, count(*), min(h.hold_id), max(h.hold_id)
  from credits_private.holds as h
  group by 1
) as r on r.account_id = a.account_id
where r.first_id <> 1 or r.last_id <> r.rows

union all
-- A grant names the last hold part that reserves or frees credits of it.
select
  'counters_change_only_with_the_ledger' as invariant,
  g.account_id,
  coalesce(p.last_part_id, 0)::text as expected,
  g.last_part_id::text as actual,
  format('the last part of grant %s', g.grant_id) as subject
from credits_private.grants as g
left join (
  select p.account_id, p.grant_id, max(p.part_id) as last_part_id
  from credits_private.hold_parts as p
  where p.grant_id is not null
  group by p.account_id, p.grant_id
) as p on p.account_id = g.account_id and p.grant_id = g.grant_id
where g.last_part_id <> coalesce(p.last_part_id, 0);
