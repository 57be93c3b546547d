create or replace view credits.entries as
select
  e.account_id,
  e.entry_id,
  e.transaction_id,
  e.kind,
  e.grant_id,
  e.amount,
  e.balance_after,
  e.period,
  e.api_key_id,
  e.operation,
  e.run_id,
  e.refunded_entry_id,
  e.effective_at,
  e.created_at,
  e.hold_id,
  e.is_final,
  e.revoked_grant_id,
  e.repaid_entry_id
from credits_private.entries as e;

comment on view credits.entries is $comment$
The ledger. One row per movement of one grant, or of debt. Entries are numbered 1, 2, 3, ... within
the account, without a gap, and never change.
$comment$;

comment on column credits.entries.kind is
  '''grant'', ''deduction'', ''capture'', ''refund'', ''expiry'', ''revocation'' or ''repay''';
comment on column credits.entries.grant_id is 'the grant that it moves; null for debt';
comment on column credits.entries.amount is 'what the entry added to its grant, and to the balance';
comment on column credits.entries.balance_after is 'the balance after the entry';
comment on column credits.entries.refunded_entry_id is 'the entry that a refund gives back';
comment on column credits.entries.effective_at is 'when it took effect';
comment on column credits.entries.created_at is
  'when it was booked, which is later for what was settled late';
comment on column credits.entries.hold_id is 'the hold that a capture took from';
comment on column credits.entries.is_final is 'whether a capture ended its hold';
comment on column credits.entries.revoked_grant_id is 'the grant that a revocation takes back';
comment on column credits.entries.repaid_entry_id is
  'the repayment that a refund gives back to its grant';
