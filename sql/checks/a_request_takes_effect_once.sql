-- Each key belongs to one transaction, or to none and has an answer of its own; and each
-- transaction that somebody asked for has its key. A deduction keeps its key in its entry, other
-- calls also in a row of idempotency_keys. What is settled or tidied up has no key: expiries,
-- repayments, the start of scheduled grants, and revocations of credits that came back.
create or replace view credits_private.check_a_request_takes_effect_once as
-- A row of idempotency_keys names the transaction that has its key, or has an answer.
select
  'a_request_takes_effect_once' as invariant,
  k.account_id,
  format('transaction %s', k.transaction_id) as expected,
  format('transaction %s', e.transaction_id) as actual,
  format('key %s', k.idempotency_key) as subject
from credits_private.idempotency_keys as k
left join credits_private.entries as e
  on e.account_id = k.account_id and e.idempotency_key = k.idempotency_key
  and e.entry_id = e.transaction_id
where k.transaction_id is distinct from e.transaction_id
  or k.transaction_id is null and k.answer is null

union all
-- A transaction that somebody asked for has a key, and a row for it unless it is a deduction.
select
  'a_request_takes_effect_once' as invariant,
  e.account_id,
  'transaction ' as expected,
  format('transaction %s', e.transaction_id) as actual,
  format('key %s', e.idempotency_key) as subject
from credits_private.entries as e
where e.entry_id = e.transaction_id
  and case
    when e.kind = 'deduction' then e.idempotency_key is null
    -- With offset 0, rows are looked up one by one: few transactions are no deductions.
    when e.idempotency_key is not null then not exists (
      select from credits_private.idempotency_keys as k
      where k.account_id = e.account_id and k.idempotency_key = e.idempotency_key
      offset 0)
    when e.kind = 'grant' then exists (
      select from credits_private.grants as g
      where g.account_id = e.account_id and g.grant_id = e.grant_id
        and g.effective_at <= g.created_at
      offset 0)
    else e.kind in ('capture', 'refund')
  end;
