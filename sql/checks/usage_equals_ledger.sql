-- requires: views/invoice_lines.sql
--
-- The usage counters and what they count by agree with the ledger.
create or replace view credits_private.check_usage_equals_ledger as
-- The counters of a period, an API key and an operation show what the lines of the invoice show.
-- Both sides are grouped, as a filter by account does not reach into a full join.
select
  'usage_equals_ledger' as invariant,
  u.account_id,
  u.expected,
  u.actual,
  format('period %s, api key %s, operation %s', u.period, u.api_key_id, u.operation) as subject
from (
  select u.account_id, u.period, u.api_key_id, u.operation,
    coalesce(max(u.expected), '(,,)') as expected, coalesce(max(u.actual), '(,,)') as actual
  from (
    select
      l.account_id, l.period, coalesce(l.api_key_id, '') as api_key_id,
      coalesce(l.operation, '') as operation,
      (l.credits_used, l.credits_refunded, l.calls)::text as expected, null as actual
    from credits.invoice_lines as l
    union all
    select u.account_id, u.period, u.api_key_id, u.operation, null as expected,
      (u.credits_used, u.credits_refunded, u.calls)::text as actual
    from credits_private.usage_counters as u
  ) as u
  group by u.account_id, u.period, u.api_key_id, u.operation
) as u
where u.expected <> u.actual

union all
-- A hold counts as one call, by its first capture. (Captures from before migration 0005 count
-- where they are final.)
select
  'usage_equals_ledger' as invariant,
  e.account_id,
  format('entry %s', e.first_entry_id) as expected,
  format('entry %s', e.counted_entry_id) as actual,
  format('the capture of hold %s that counts as its call', e.hold_id) as subject
from (
  select e.account_id, e.hold_id,
    min(e.entry_id) filter (where e.is_first is not null) as first_entry_id,
    min(e.entry_id) filter (where e.is_first) as counted_entry_id,
    count(distinct e.transaction_id) filter (where e.is_first) as counted
  from credits_private.entries as e
  where e.kind = 'capture'
  group by e.account_id, e.hold_id
) as e
where e.first_entry_id is not null
  and (e.counted <> 1 or e.counted_entry_id <> e.first_entry_id)

union all
-- A capture names the API key, operation and run of its hold; a refund names those of the
-- original.
select
  'usage_equals_ledger' as invariant,
  e.account_id,
  (o.api_key_id, o.operation, o.run_id)::text as expected,
  (e.api_key_id, e.operation, e.run_id)::text as actual,
  format('what entry %s is for', e.entry_id) as subject
from credits_private.entries as e
-- With offset 0, originals are looked up one by one: joined at once, the whole ledger is read.
cross join lateral (
  select h.api_key_id, h.operation, h.run_id
  from credits_private.holds as h
  where e.kind = 'capture' and h.account_id = e.account_id
    and h.hold_id = coalesce(e.hold_id, e.refunded_transaction_id)
  union all
  select o.api_key_id, o.operation, o.run_id
  from credits_private.entries as o
  where e.kind = 'refund' and o.account_id = e.account_id
    and o.entry_id = coalesce(e.hold_id, e.refunded_transaction_id)
  offset 0
) as o
where e.kind in ('capture', 'refund')
  and (o.api_key_id is distinct from e.api_key_id or o.operation is distinct from e.operation
      or o.run_id is distinct from e.run_id)

union all
-- Once one capture of an account says whether it is the first of its hold, all later captures do.
select
  'usage_equals_ledger' as invariant,
  e.account_id,
  'whether it is its hold''s first' as expected,
  null as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
join (
  select e.account_id, min(e.entry_id) as first_entry_id
  from credits_private.entries as e
  where e.is_first is not null
  group by e.account_id
) as f on f.account_id = e.account_id and f.first_entry_id < e.entry_id
where e.kind = 'capture' and e.is_first is null;
