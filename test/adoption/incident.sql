-- One account's month, out of public.calls: each debit is right; of the counter's increments, those
-- of calls that ran a model are 1, and those of calls without a key are missing.
insert into public.users values
  ('acme', 'billing@acme.example', 1000, '2026-02-01T00:00:00Z');

insert into public.api_keys
select
  api_key_id,
  'acme',
  sum(case when uses_llm then 1 else cost end),
  '2026-03-01T00:00:00Z'
from public.calls
where api_key_id is not null
group by api_key_id;

insert into public.credit_transactions
select
  id,
  'acme',
  amount,
  kind,
  operation,
  api_key_id,
  reference,
  null,
  sum(amount) over (order by id),
  at
from (
  select
    0 as id,
    1000::bigint as amount,
    'allowance' as kind,
    null as operation,
    null as api_key_id,
    'allowance 2026-03' as reference,
    timestamptz '2026-03-01T00:00:00Z' as at
  union all
  select
    call_id,
    -cost,
    'usage',
    path,
    api_key_id,
    'call ' || call_id,
    (date '2026-03-01' + (day - 1) + at) at time zone 'UTC'
  from public.calls
) as t;

insert into public.user_credits
select 'acme', sum(amount), max(created_at)
from public.credit_transactions;
