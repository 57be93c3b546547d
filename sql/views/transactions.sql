-- A transaction is its first entry, with the sum of its entries looked up. Entries are not grouped,
-- so a page of transactions is read from the primary key, however long the ledger is. For the same
-- reason the id is entry_id, by which the key is ordered, and a first entry is recognised by <=,
-- not by =: Postgres expects an equality of two columns to be rare, and would scan the whole
-- account.
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
left join lateral (
  select sum(e.amount)::bigint as amount
  from credits_private.entries as e
  where e.account_id = t.account_id
    and e.entry_id between t.entry_id and t.entry_id + t.entry_count - 1
  group by e.account_id
) as s on true
where t.entry_id <= t.transaction_id;

comment on view credits.transactions is $comment$
One row per event: a grant, a deduction, a capture, a refund, an expiry, a revocation or a repayment
of debt. `amount` is signed, and is what the event added to the balance; a repayment adds nothing.
For a page of the latest transactions, order by transaction_id desc within one account.
$comment$;

comment on column credits.transactions.amount is 'what the transaction added to the balance';
comment on column credits.transactions.balance_after is 'the balance after the transaction';
comment on column credits.transactions.refunded_transaction_id is
  'the deduction or capture that a refund gives back';
comment on column credits.transactions.idempotency_key is
  'null for what was settled, as nobody asked for it';
comment on column credits.transactions.effective_at is 'when it took effect';
comment on column credits.transactions.created_at is
  'when it was booked, which is later for what was settled late';
comment on column credits.transactions.hold_id is 'the hold that a capture took from';
