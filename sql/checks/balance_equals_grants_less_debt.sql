-- The balance is what remains of all grants, less the debt.
create or replace view credits_private.check_balance_equals_grants_less_debt as
select
  'balance_equals_grants_less_debt' as invariant,
  a.account_id,
  (coalesce(g.remaining, 0) - a.debt)::text as expected,
  a.balance::text as actual,
  'balance' as subject
from credits_private.accounts as a
left join (
  select g.account_id, sum(g.remaining) as remaining
  from credits_private.remainders as g
  group by g.account_id
) as g on g.account_id = a.account_id
where a.balance <> coalesce(g.remaining, 0) - a.debt;
