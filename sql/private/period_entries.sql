-- requires: private/entries.sql
--
-- The entries of accounts by period, for what sums them: invoices and their lines.
--
-- A filter by account and period must not read the whole of a long ledger, and a sum over all
-- accounts must not probe each of them. So the entries of a long account, of more than 10,000, are
-- read period by period, by ranges of the primary key: a filter by period reaches into the ranges.
-- Those of all others are read as they lie. Where the account's row says that it belongs to the
-- other branch, its entries are not read there. With offset 0, a range is read by the key, whatever
-- the statistics say.
create or replace view credits_private.period_entries as
select a.account_id, p.period, e.entry_id, e.transaction_id, e.kind, e.amount, e.api_key_id,
  e.operation, e.is_final, e.is_first
from credits_private.accounts as a
cross join lateral credits_private.periods_of(a.account_id) as p
cross join lateral (
  select e.entry_id, e.transaction_id, e.kind, e.amount, e.api_key_id, e.operation, e.is_final,
    e.is_first
  from credits_private.entries as e
  where e.account_id = a.account_id and e.entry_id between p.first_entry_id and p.last_entry_id
  offset 0
) as e
where a.last_entry_id > 10000
union all
select e.account_id, e.period, e.entry_id, e.transaction_id, e.kind, e.amount, e.api_key_id,
  e.operation, e.is_final, e.is_first
from credits_private.accounts as a
join credits_private.entries as e on e.account_id = a.account_id
where a.last_entry_id <= 10000;
