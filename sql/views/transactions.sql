-- A transaction is its first entry, and its sum. Not a group of entries: a page of transactions is
-- read from the primary key, whatever the length of the ledger. Hence also entry_id, which is what
-- the key orders by, and <=, which only a first entry meets: Postgres takes an = of two columns for
-- rare, and would scan the account instead.
create or replace view credits.transactions as
select
  t.account_id,
  t.entry_id as transaction_id,
  t.kind,
  s.amount,
  l.balance_after,
  t.api_key_id,
  t.operation,
  t.run_id,
  t.refunded_transaction_id,
  t.idempotency_key,
  coalesce(t.metadata, '{}') as metadata,
  t.period,
  t.effective_at,
  t.created_at,
  t.hold_id
from credits_private.entries as t
join credits_private.entries as l
  on l.account_id = t.account_id and l.entry_id = t.entry_id + t.entry_count - 1
cross join lateral (
  select sum(e.amount)::bigint as amount
  from credits_private.entries as e
  where e.account_id = t.account_id
    and e.entry_id between t.entry_id and t.entry_id + t.entry_count - 1
) as s
where t.entry_id <= t.transaction_id;

comment on view credits.transactions is $comment$
One row per event: a grant, a deduction, a capture, a refund, an expiry, a revocation, a
repayment of debt. `amount` is signed: what it added to the balance, which a repayment leaves as it
is. For a page of the latest, order by transaction_id desc within one account.
$comment$;

comment on column credits.transactions.amount is 'what it added to the balance';
comment on column credits.transactions.balance_after is 'the balance after it';
comment on column credits.transactions.refunded_transaction_id is
  'the deduction or capture that a refund gives back';
comment on column credits.transactions.idempotency_key is 'null for what was settled';
comment on column credits.transactions.effective_at is 'when it was due';
comment on column credits.transactions.created_at is 'when it was booked';
comment on column credits.transactions.hold_id is 'the hold that a capture is of';
