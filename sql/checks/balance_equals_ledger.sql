create or replace view credits_private.check_balance_equals_ledger as
-- The balance of an account is the sum of its entries.
select
  'balance_equals_ledger' as invariant,
  a.account_id,
  coalesce(e.amount, 0)::text as expected,
  a.balance::text as actual,
  'balance' as subject
from credits_private.accounts as a
left join (
  select e.account_id, sum(e.amount) as amount
  from credits_private.entries as e
  group by e.account_id
) as e on e.account_id = a.account_id
where a.balance <> coalesce(e.amount, 0)

union all
-- Its debt is the sum of the entries that draw on no grant.
select
  'balance_equals_ledger' as invariant,
  a.account_id,
  coalesce(e.amount, 0)::text as expected,
  a.debt::text as actual,
  'debt' as subject
from credits_private.accounts as a
left join (
  select e.account_id, -sum(e.amount) as amount
  from credits_private.entries as e
  where e.grant_id is null
  group by e.account_id
) as e on e.account_id = a.account_id
where a.debt <> coalesce(e.amount, 0);
