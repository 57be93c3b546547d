-- requires: private/period_entries.sql
--
-- Sums the ledger. Calls without an API key or an operation are groups like any other.
create or replace view credits.invoice_lines as
select
  e.account_id,
  e.period,
  e.api_key_id,
  e.operation,
  least(coalesce(-sum(e.amount) filter (where e.kind <> 'refund'), 0),
    9223372036854775807)::bigint as credits_used,
  least(coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0),
    9223372036854775807)::bigint as credits_refunded,
  least(greatest(-sum(e.amount), -9223372036854775807), 9223372036854775807)::bigint as net_used,
  count(*) filter (where e.entry_id = e.transaction_id
    and (e.kind = 'deduction' or coalesce(e.is_first, e.is_final))) as calls
from credits_private.period_entries as e
where e.kind in ('deduction', 'capture', 'refund')
group by e.account_id, e.period, e.api_key_id, e.operation;

comment on view credits.invoice_lines is $comment$
One row per account, billing period, API key and operation with usage, summed from the ledger. The
lines add up to the invoice. Calls without an API key or an operation have a line of their own, with
a null there.
$comment$;

comment on column credits.invoice_lines.credits_used is 'taken by deductions and captures';
comment on column credits.invoice_lines.credits_refunded is 'given back by refunds';
comment on column credits.invoice_lines.net_used is 'credits_used - credits_refunded';
comment on column credits.invoice_lines.calls is
  'deductions, and holds whose first capture was in the period';
