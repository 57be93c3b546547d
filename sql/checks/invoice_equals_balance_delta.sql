-- requires: views/invoice.sql
--
-- The figures of an invoice lead from its opening balance to its closing balance.
create or replace view credits_private.check_invoice_equals_balance_delta as
select
  'invoice_equals_balance_delta' as invariant,
  i.account_id,
  (i.closing_balance - i.opening_balance)::text as expected,
  (i.credits_granted::numeric - i.credits_used + i.credits_refunded - i.credits_expired
    - i.credits_revoked)::text as actual,
  format('period %s', i.period) as subject
from credits.invoice as i
where i.closing_balance - i.opening_balance <> i.credits_granted::numeric - i.credits_used
  + i.credits_refunded - i.credits_expired - i.credits_revoked;
