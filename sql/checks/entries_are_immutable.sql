-- An entry still says what it said when it was written.
create or replace view credits_private.check_entries_are_immutable as
-- Each balance follows from the balance before it. (Joined by number: to sort the ledger for a
-- window takes longer. Where an entry is missing, the balance before is that of the last one.)
select
  'entries_are_immutable' as invariant,
  e.account_id,
  (e.amount + coalesce(p.balance_after, (
    select p.balance_after
    from credits_private.entries as p
    where p.account_id = e.account_id and p.entry_id < e.entry_id
    order by p.entry_id desc
    limit 1), 0))::text as expected,
  e.balance_after::text as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
left join credits_private.entries as p
  on p.account_id = e.account_id and p.entry_id = e.entry_id - 1
where e.balance_after <> coalesce(p.balance_after, 0) + e.amount

union all
-- An entry has the columns that its kind has, and no others.
select
  'entries_are_immutable' as invariant,
  e.account_id,
  'what its kind has' as expected,
  e.kind as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
where (
  case e.kind
    when 'grant' then e.amount > 0 and e.grant_id is not null
    when 'deduction' then e.amount < 0
    when 'capture' then e.amount < 0
    when 'refund' then e.amount > 0
    when 'expiry' then e.amount < 0 and e.grant_id is not null
    when 'revocation' then e.amount < 0 or e.grant_id is null
    when 'repay' then (e.amount > 0) = (e.grant_id is null)
  end
  and e.amount <> 0
  and (e.kind = 'capture') = (e.hold_id is not null)
  and (e.kind = 'capture') = (e.is_final is not null)
  and (e.kind = 'capture' or e.is_first is null)
  and (e.kind = 'revocation') = (e.revoked_grant_id is not null)
  and (e.kind = 'refund' or e.repaid_entry_id is null)
  and (e.kind in ('deduction', 'expiry', 'grant', 'repay', 'revocation')
    or e.statement_entries is null)
  and (e.kind = 'deduction' and e.entry_id = e.transaction_id or e.available is null)
  and (e.kind in ('deduction', 'capture', 'refund')
    or coalesce(e.api_key_id, e.operation, e.run_id) is null)
  and coalesce(e.api_key_id, '-') <> '' and coalesce(e.operation, '-') <> ''
  and coalesce(e.run_id, '-') <> '' and coalesce(e.idempotency_key, '-') <> ''
  and (e.entry_id = e.transaction_id or e.idempotency_key is null)
  -- What was asked for takes effect when it is booked.
  and (e.created_at = e.effective_at or e.idempotency_key is null
    and e.kind not in ('deduction', 'capture', 'refund'))
) is not true

union all
-- The entries of a transaction agree on everything that a transaction has once.
select
  'entries_are_immutable' as invariant,
  e.account_id,
  format('what entry %s has', t.entry_id) as expected,
  e.kind as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
-- With offset 0, first entries are looked up one by one: few transactions have more than one.
cross join lateral (
  select t.*
  from credits_private.entries as t
  where t.account_id = e.account_id and t.entry_id = e.transaction_id
  offset 0
) as t
where e.entry_id <> e.transaction_id
  and (e.kind is distinct from t.kind or e.effective_at is distinct from t.effective_at
      or e.created_at is distinct from t.created_at
      or e.period is distinct from t.period
      or e.api_key_id is distinct from t.api_key_id
      or e.operation is distinct from t.operation or e.run_id is distinct from t.run_id
      or e.hold_id is distinct from t.hold_id or e.is_final is distinct from t.is_final
      or e.is_first is distinct from t.is_first
      or e.revoked_grant_id is distinct from t.revoked_grant_id
      or e.refunded_transaction_id is distinct from t.refunded_transaction_id);
