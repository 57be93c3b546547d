-- An account in debt has no free unscoped credit: such credit repays the debt at once.
create or replace view credits_private.check_debt_and_free_credit_never_coexist as
select
  'debt_and_free_credit_never_coexist' as invariant,
  a.account_id,
  '0' as expected,
  sum(g.remaining - g.held)::text as actual,
  format('free credit beside a debt of %s', a.debt) as subject
from credits_private.accounts as a
join credits_private.remainders as g on g.account_id = a.account_id
where a.debt > 0 and g.operations is null and g.remaining > g.held
group by a.account_id, a.debt;
