-- requires: views/invoice.sql
-- requires: views/invoice_lines.sql
--
-- The lines of an invoice add up to the invoice.
create or replace view credits_private.check_invoice_lines_sum_to_invoice as
select
  'invoice_lines_sum_to_invoice' as invariant,
  i.account_id,
  (i.credits_used, i.credits_refunded, i.calls)::text as expected,
  (coalesce(l.credits_used, 0), coalesce(l.credits_refunded, 0), coalesce(l.calls,
    0))::text as actual,
  format('period %s', i.period) as subject
from credits.invoice as i
left join (
  select
    l.account_id, l.period, sum(l.credits_used) as credits_used,
    sum(l.credits_refunded) as credits_refunded, sum(l.calls) as calls
  from credits.invoice_lines as l
  group by l.account_id, l.period
) as l on l.account_id = i.account_id and l.period = i.period
where (i.credits_used, i.credits_refunded, i.calls)
  <> (coalesce(l.credits_used, 0), coalesce(l.credits_refunded, 0), coalesce(l.calls, 0));
