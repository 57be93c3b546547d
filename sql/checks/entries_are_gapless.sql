-- No entry is missing, and none was added.
create or replace view credits_private.check_entries_are_gapless as
-- The entries of an account are numbered 1, 2, 3, ... up to the account's own count.
select
  'entries_are_gapless' as invariant,
  a.account_id,
  format('1 to %s', a.last_entry_id) as expected,
  format('%s entries, %s to %s', coalesce(e.entries, 0), e.first_entry_id,
    e.last_entry_id) as actual,
  'entries' as subject
from credits_private.accounts as a
left join (
  select
    e.account_id, count(*) as entries,
    min(e.entry_id) as first_entry_id, max(e.entry_id) as last_entry_id
  from credits_private.entries as e
  group by e.account_id
) as e on e.account_id = a.account_id
where coalesce(e.entries, 0) <> a.last_entry_id
  or coalesce(e.last_entry_id, 0) <> a.last_entry_id
  or e.first_entry_id <> 1

union all
-- The entries of a transaction follow each other, and the first of them numbers the transaction.
-- (Most transactions are one entry, which needs no other to tell so.)
select
  'entries_are_gapless' as invariant,
  t.account_id,
  format('entries %s to %s', t.transaction_id, t.transaction_id + t.entry_count - 1) as expected,
  format('%s entries, %s to %s', t.entries, t.first_entry_id, t.last_entry_id) as actual,
  format('transaction %s', t.transaction_id) as subject
from (
  select e.account_id, e.transaction_id, e.entry_count, count(*) as entries,
    min(e.entry_id) as first_entry_id, max(e.entry_id) as last_entry_id
  from credits_private.entries as e
  where e.entry_count <> 1 or e.entry_id <> e.transaction_id
  group by e.account_id, e.transaction_id, e.entry_count
) as t
where t.first_entry_id <> t.transaction_id or t.entries <> t.entry_count
  or t.last_entry_id <> t.transaction_id + t.entry_count - 1

union all
-- When one statement writes several entries, the first of them carries their number, and the
-- others carry zero.
select
  'entries_are_gapless' as invariant,
  s.account_id,
  format('%s entries', s.statement_entries) as expected,
  format('%s entries', s.entries) as actual,
  format('the statement that wrote entry %s', coalesce(s.first_entry_id, s.entry_id)) as subject
from (
  select s.account_id, s.first_entry_id, max(s.statement_entries) as statement_entries,
    min(s.statement_entries) as least, count(*) as entries, min(s.entry_id) as entry_id,
    max(s.entry_id) as last_entry_id
  from (
    select e.account_id, e.entry_id, e.statement_entries,
      max(case when e.statement_entries > 0 then e.entry_id end)
        over (partition by e.account_id order by e.entry_id) as first_entry_id
    from credits_private.entries as e
    where e.statement_entries is not null
  ) as s
  group by s.account_id, s.first_entry_id
) as s
where s.first_entry_id is null or s.entries < 2 or s.entries <> s.statement_entries or s.least < 0
  or s.last_entry_id <> s.first_entry_id + s.entries - 1;
