-- Each key belongs to one transaction, or to none and has an answer of its own; and each
-- transaction that somebody asked for has its key. A deduction keeps its key in its entry, other
-- calls also in a row of idempotency_keys. What is settled or tidied up has no key: expiries,
-- repayments, the start of scheduled grants, and revocations of credits that came back.
create or replace view credits_private.check_a_request_takes_effect_once as
select
  'a_request_takes_effect_once' as invariant,
  k.account_id,
  format('transaction %s', k.known_id) as expected,
  format('transaction %s', k.entered_id) as actual,
  format('key %s', k.idempotency_key) as subject
from (
  select k.account_id, k.idempotency_key, max(k.known_id) as known_id,
    max(k.entered_id) as entered_id, bool_or(k.is_known) as is_known,
    bool_or(k.has_answer) as has_answer, bool_or(k.has_key) as has_key
  from (
    select k.account_id, k.idempotency_key, k.transaction_id as known_id,
      null::bigint as entered_id, true as is_known, k.answer is not null as has_answer,
      false as has_key, null::bigint as unnamed_id
    from credits_private.idempotency_keys as k
    union all
    select e.account_id, e.idempotency_key, null as known_id, e.transaction_id as entered_id,
      false as is_known, false as has_answer,
      e.kind = 'deduction' and e.idempotency_key is not null as has_key,
      case when e.idempotency_key is null then e.entry_id end as unnamed_id
    from credits_private.entries as e
    left join credits_private.grants as g
      on g.account_id = e.account_id and g.grant_id = e.grant_id
    where e.entry_id = e.transaction_id
      and (e.idempotency_key is not null or e.kind in ('deduction', 'capture', 'refund')
        or (e.kind = 'grant' and g.effective_at <= g.created_at))
  ) as k
  group by k.account_id, k.idempotency_key, k.unnamed_id
) as k
where (k.known_id is distinct from k.entered_id and (k.is_known or not k.has_key))
  or (k.known_id is null and not k.has_answer and not k.has_key);
