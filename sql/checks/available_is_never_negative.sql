-- Holds never reserve more than there is.
create or replace view credits_private.check_available_is_never_negative as
-- An account's free credit is not negative.
select
  'available_is_never_negative' as invariant,
  a.account_id,
  '0 or more' as expected,
  (a.balance + a.debt - a.held + a.overdraft_held)::text as actual,
  'free credit' as subject
from credits_private.accounts as a
where a.balance + a.debt < a.held - a.overdraft_held

union all
-- A grant's free credit is not negative.
select
  'available_is_never_negative' as invariant,
  g.account_id,
  '0 or more' as expected,
  (g.remaining - g.held)::text as actual,
  format('grant %s', g.grant_id) as subject
from credits_private.remainders as g
where g.remaining < g.held;
