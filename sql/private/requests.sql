-- Idempotency: a key takes effect once (a_request_takes_effect_once).

-- What makes two calls the same: the function and its non-default arguments. The caller leaves
-- defaults null, so that a parameter added later turns no old key into a conflict. jsonb has one
-- text form, whatever the session's settings are.
create or replace function credits_private.fingerprint(p_function text, p_arguments jsonb)
returns bytea
language plpgsql immutable
set search_path = ''
as $$
begin
  return substr(
    sha256(convert_to(p_function || jsonb_strip_nulls(p_arguments)::text, 'UTF8')), 1, 16);
end
$$;

revoke all on function credits_private.fingerprint(text, jsonb) from public;

-- A time as a whole number of microseconds: no time zone, no date style, no rounding.
create or replace function credits_private.microseconds(p_at timestamptz)
returns bigint
language sql immutable
set search_path = ''
as $$
  select (extract(epoch from p_at) * 1000000)::bigint
$$;

revoke all on function credits_private.microseconds(timestamptz) from public;

-- The answer that this key's first call got, or nulls when the key is new. To be called under the
-- account's lock: whoever used the key first has committed by then, or will never.
create or replace function credits_private.find_answer(
  p_account_id text, p_idempotency_key text, p_fingerprint bytea
) returns credits_private.answer
language plpgsql
set search_path = ''
as $$
declare
  v_key credits_private.idempotency_keys;
  v_answer credits_private.answer;
begin
  select k.* into v_key
  from credits_private.idempotency_keys as k
  where k.account_id = p_account_id and k.idempotency_key = p_idempotency_key;
  if not found then
    return null;
  end if;

  if v_key.fingerprint <> p_fingerprint then
    perform credits_private.raise_error('PT409', 'idempotency key reused with different arguments',
      jsonb_build_object('account_id', p_account_id, 'idempotency_key', p_idempotency_key,
        'transaction_id', v_key.transaction_id),
      'A key belongs to one call with one set of arguments: look at the transaction that it made, '
        'or take a new key.',
      'a_request_takes_effect_once');
  end if;

  select
    t.transaction_id, t.grant_id, abs(l.balance_after - t.balance_after + t.amount),
    l.balance_after, v_key.available
  into v_answer
  from credits_private.entries as t
  join credits_private.entries as l
    on l.account_id = t.account_id and l.entry_id = t.entry_id + t.entry_count - 1
  where t.account_id = p_account_id and t.entry_id = v_key.transaction_id;
  return v_answer;
end
$$;

revoke all on function credits_private.find_answer(text, text, bytea) from public;

-- Keeps a call's key, once its entries are written.
create or replace function credits_private.keep_answer(
  p_account_id text, p_idempotency_key text, p_fingerprint bytea, p_transaction_id bigint,
  p_available bigint
) returns void
language plpgsql
set search_path = ''
as $$
begin
  insert into credits_private.idempotency_keys (
    account_id, idempotency_key, fingerprint, transaction_id, available
  ) values (
    p_account_id, p_idempotency_key, p_fingerprint, p_transaction_id, p_available
  );
end
$$;

revoke all on function
  credits_private.keep_answer(text, text, bytea, bigint, bigint) from public;
