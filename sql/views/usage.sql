-- Reads the counters alone, which is fast. usage_equals_ledger compares them with the ledger.
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
The figures of `invoice_lines`, read from counters that the ledger's trigger keeps: as fast for an
old account as for a new one. `credits.discrepancies` compares the two views.
$comment$;

comment on column credits.usage.credits_used is 'taken by deductions and captures';
comment on column credits.usage.credits_refunded is 'given back by refunds';
comment on column credits.usage.net_used is 'credits_used - credits_refunded';
comment on column credits.usage.calls is
  'deductions, and holds whose first capture was in the period';
