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

-- The answer to this key's first call, or nulls when the key is new. To be called under the
-- account's lock: whoever used the key first has committed by then, or will never.
create or replace function credits_private.find_request(
  p_account_id text, p_idempotency_key text, p_fingerprint bytea
) returns credits_private.idempotency_keys
language plpgsql
set search_path = ''
as $$
declare
  v_request credits_private.idempotency_keys;
begin
  select k.* into v_request
  from credits_private.idempotency_keys as k
  where k.account_id = p_account_id and k.idempotency_key = p_idempotency_key;

  if v_request.fingerprint <> p_fingerprint then
    perform credits_private.raise_error('PT409', 'idempotency key reused with different arguments',
      jsonb_build_object('account_id', p_account_id, 'idempotency_key', p_idempotency_key,
        'transaction_id', v_request.transaction_id),
      'A key belongs to one call with one set of arguments: look at the transaction that it made, '
        'or take a new key.',
      'a_request_takes_effect_once');
  end if;
  return v_request;
end
$$;

revoke all on function credits_private.find_request(text, text, bytea) from public;
