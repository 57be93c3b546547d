-- A key that has a row of its own still belongs to the call that made it. The digest of the call is
-- computed here anew, not by the code that made it.
create or replace view credits_private.check_a_key_has_one_answer as
-- The digest of a key is that of what its call left behind, in one of the forms that the arguments
-- may have had. Forgotten ids are left out, and intervals from before migration 0005, which cannot
-- be reconstructed.
select
  'a_key_has_one_answer' as invariant,
  c.account_id,
  encode(c.fingerprint, 'hex') as expected,
  c.function_name || jsonb_strip_nulls(c.forms[1])::text as actual,
  format('key %s', c.idempotency_key) as subject
from (
  select k.account_id, k.idempotency_key, k.fingerprint, 'grant_credits' as function_name,
    array[
      t.terms || t.expiry || jsonb_build_object('effective_at', t.effective_at),
      case when t.is_now then t.terms || t.expiry end] as forms
  from credits_private.idempotency_keys as k
  cross join lateral (
    select
      jsonb_build_object('amount', g.amount, 'source', nullif(g.source, 'purchase'),
        'priority', nullif(g.priority, 100), 'operations', g.operations,
        'paid_amount', g.paid_amount, 'paid_currency', g.paid_currency) as terms,
      case
        when k.answer ->> 'expires_in' is null then jsonb_build_object('expires_at',
          case when isfinite(g.expires_at)
            then to_jsonb((extract(epoch from g.expires_at) * 1000000)::bigint)
            else to_jsonb(g.expires_at::text) end) -- infinity, which no call gave
        when credits_private.moment_after(g.effective_at,
            credits_private.interval_of(k.answer -> 'expires_in')) = g.expires_at
          then jsonb_build_object('expires_in', k.answer -> 'expires_in')
      end as expiry,
      case when isfinite(g.effective_at)
        then to_jsonb((extract(epoch from g.effective_at) * 1000000)::bigint)
        else to_jsonb(g.effective_at::text) end as effective_at,
      g.effective_at = g.created_at as is_now
    from credits_private.grants as g
    where g.account_id = k.account_id and g.grant_id::text = k.answer ->> 'grant_id'
      and (k.answer ? 'expires_in' or g.expires_at is null)
  ) as t
  where k.answer ? 'grant_id' and not k.answer ? 'outstanding'

  union all
  select k.account_id, k.idempotency_key, k.fingerprint, 'hold_credits' as function_name, array[
    -- Most holds have the default. (interval_of would take a subtransaction each.)
    case when to_jsonb(case
        when k.answer ->> 'expires_in' is null then h.created_at + interval '1 hour'
        else credits_private.moment_after(h.created_at,
          credits_private.interval_of(k.answer -> 'expires_in'))
      end at time zone 'UTC') #>> '{}' || 'Z' = k.answer ->> 'expires_at'
      then jsonb_build_object('amount', h.amount, 'expires_in', k.answer -> 'expires_in',
        'api_key_id', h.api_key_id, 'operation', h.operation, 'run_id', h.run_id) end]
  from credits_private.idempotency_keys as k
  join credits_private.holds as h
    on h.account_id = k.account_id and h.hold_id::text = k.answer ->> 'hold_id'
  where k.answer ? 'hold_id' and k.answer ? 'expires_in'
    and not coalesce(h.api_key_id like 'forgotten %' or h.run_id like 'forgotten %', false)

  union all
  select k.account_id, k.idempotency_key, k.fingerprint, 'release_hold' as function_name,
    array[jsonb_build_object('hold_id', k.answer -> 'hold_id')]
  from credits_private.idempotency_keys as k
  where k.answer ? 'hold_id' and not k.answer ? 'expires_at' and not k.answer ? 'held'

  union all
  select k.account_id, k.idempotency_key, k.fingerprint, 'capture_hold' as function_name,
    array[jsonb_build_object('hold_id', k.answer -> 'hold_id', 'amount', 0)]
  from credits_private.idempotency_keys as k
  where k.answer ? 'held' and k.transaction_id is null

  union all
  select k.account_id, k.idempotency_key, k.fingerprint, 'revoke_grant' as function_name, array(
    select jsonb_build_object('grant_id', g.grant_id, 'amount', k.answer -> 'requested',
      'on_spent', nullif(k.answer ->> 'on_spent', 'clamp'))
    from credits_private.grants as g
    where g.account_id = k.account_id
      and coalesce(g.origin_grant_id, g.grant_id)::text = k.answer ->> 'grant_id')
  from credits_private.idempotency_keys as k
  where k.answer ? 'requested'

  union all
  select k.account_id, k.idempotency_key, k.fingerprint,
    case t.kind when 'deduction' then 'deduct_credits' when 'capture' then 'capture_hold'
      else 'refund_credits' end,
    case t.kind
      when 'deduction' then array[jsonb_build_object('amount', -t.amount,
        'api_key_id', t.api_key_id, 'operation', t.operation, 'run_id', t.run_id)]
      when 'capture' then array[jsonb_build_object('hold_id', t.hold_id, 'amount', -t.amount,
        'final', nullif(t.is_final, true))]
      else array[
        jsonb_build_object('transaction_id', t.refunded_transaction_id, 'amount', t.amount),
        jsonb_build_object('transaction_id', t.refunded_transaction_id)]
    end
  from credits_private.idempotency_keys as k
  -- With offset 0, transactions are looked up one by one: joined at once, the whole ledger is
  -- read, twice.
  cross join lateral (
    select t.kind, t.api_key_id, t.operation, t.run_id, t.hold_id, t.is_final,
      t.refunded_transaction_id, l.balance_after - t.balance_after + t.amount as amount
    from credits_private.entries as t
    join credits_private.entries as l
      on l.account_id = t.account_id and l.entry_id = t.entry_id + t.entry_count - 1
    where t.account_id = k.account_id and t.entry_id = k.transaction_id
      and t.kind in ('deduction', 'capture', 'refund')
    offset 0
  ) as t
  where t.kind <> 'deduction'
    or not coalesce(t.api_key_id like 'forgotten %' or t.run_id like 'forgotten %', false)
) as c
where not exists (
  select from unnest(c.forms) as f (form)
  where c.fingerprint = substr(sha256(convert_to(
    c.function_name || jsonb_strip_nulls(f.form)::text, 'UTF8')), 1, 16))

union all
-- There is one key for each hold, each release, each scheduled grant and each revocation.
-- (Revocations from before migration 0005 share one row per grant, and their keys do not name
-- it.)
select
  'a_key_has_one_answer' as invariant,
  c.account_id,
  format('%s keys', c.calls) as expected,
  format('%s keys', c.keys) as actual,
  c.subject
from (
  select c.account_id, c.subject, sum(c.calls) as calls, sum(c.keys) as keys
  from (
    select h.account_id, format('hold %s', h.hold_id) as subject, 1 as calls, 0 as keys
    from credits_private.holds as h
    union all
    select h.account_id, format('release of hold %s', h.hold_id), 1, 0
    from credits_private.holds as h
    where h.state = 'released'
    union all
    select g.account_id, format('grant %s', g.grant_id), 1, 0
    from credits_private.grants as g
    where g.origin_grant_id is null and g.effective_at > g.created_at
    union all
    select r.account_id, format('revocation %s of grant %s', r.revocation_id, r.grant_id), 1, 0
    from credits_private.revocations as r
    left join (
      select k.account_id, k.answer ->> 'grant_id' as grant_id
      from credits_private.idempotency_keys as k
      where k.answer ? 'outstanding' and not k.answer ? 'revocation_id'
      group by k.account_id, k.answer ->> 'grant_id'
    ) as k on k.account_id = r.account_id and k.grant_id = r.grant_id::text
    where r.revocation_id > 1 or k.account_id is null
    union all
    select k.account_id,
      case
        when k.answer ? 'outstanding' then format('revocation %s of grant %s',
          k.answer ->> 'revocation_id', k.answer ->> 'grant_id')
        when k.answer ? 'grant_id' then format('grant %s', k.answer ->> 'grant_id')
        when k.answer ? 'expires_at' then format('hold %s', k.answer ->> 'hold_id')
        else format('release of hold %s', k.answer ->> 'hold_id')
      end, 0, 1
    from credits_private.idempotency_keys as k
    where k.answer ? 'revocation_id'
      or k.transaction_id is null and not k.answer ? 'outstanding'
        and (k.answer ? 'grant_id' or k.answer ? 'hold_id')
  ) as c
  group by c.account_id, c.subject
) as c
where c.calls <> c.keys

union all
-- A key keeps its answer, and the revocation that it asked for.
select
  'a_key_has_one_answer' as invariant,
  k.account_id,
  coalesce(r.requested, t.amount)::text as expected,
  coalesce(k.answer ->> 'requested', k.answer ->> 'amount') as actual,
  format('answer to key %s', k.idempotency_key) as subject
from credits_private.idempotency_keys as k
left join lateral (
  select t.kind, t.available, t.created_at, l.balance_after,
    abs(l.balance_after - t.balance_after + t.amount) as amount
  from credits_private.entries as t
  left join credits_private.entries as l
    on l.account_id = t.account_id and l.entry_id = t.entry_id + t.entry_count - 1
  where t.account_id = k.account_id and t.entry_id = k.transaction_id
  offset 0
) as t on true
left join credits_private.revocations as r
  on r.account_id = k.account_id and r.grant_id::text = k.answer ->> 'grant_id'
  and r.revocation_id::text = k.answer ->> 'revocation_id'
left join credits_private.grants as g on g.account_id = r.account_id and g.grant_id = r.grant_id
where k.answer ->> 'transaction_id' <> k.transaction_id::text
  or k.answer ->> 'available' <> k.available::text
  or k.answer ->> 'amount' <> t.amount::text
  or t.kind = 'deduction' and k.available <> coalesce(t.available, t.balance_after)
  or r.requested::text <> coalesce(k.answer ->> 'requested', g.amount::text)
  or r.on_spent <> k.answer ->> 'on_spent'
  or r.created_at <> t.created_at;
