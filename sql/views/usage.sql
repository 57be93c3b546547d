-- Reads the counters and nothing else: fast, and compared with the ledger (usage_equals_ledger).
create or replace view credits.usage as
select
  u.account_id,
  u.period,
  nullif(u.api_key_id, '') as api_key_id,
  nullif(u.operation, '') as operation,
  u.credits_used,
  u.credits_refunded,
  u.credits_used - u.credits_refunded as net_used,
  u.calls
from credits_private.usage_counters as u;

comment on view credits.usage is $comment$
The same figures as `invoice_lines`, read from counters that the ledger's trigger keeps: fast for
an account of any age. `credits.discrepancies` compares the two.
$comment$;

comment on column credits.usage.credits_used is 'by deductions and captures';
comment on column credits.usage.credits_refunded is 'given back';
comment on column credits.usage.net_used is 'credits_used - credits_refunded';
comment on column credits.usage.calls is 'deductions, and holds captured for the first time';
