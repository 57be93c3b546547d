-- Idempotency: a key takes effect once (a_request_takes_effect_once).

-- What makes two calls the same: the function and its non-default arguments. The caller passes null
-- for a default, so that a parameter added later turns no old key into a conflict. jsonb has one
-- text form, whatever the session's settings are.
create or replace function credits_private.fingerprint(p_function text, p_arguments jsonb)
returns bytea
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return substr(
    sha256(convert_to(p_function || jsonb_strip_nulls(p_arguments)::text, 'UTF8')), 1, 16);
end
$$;

create or replace function credits_private.deduction_arguments(
  p_amount bigint, p_api_key_id text, p_operation text, p_run_id text
) returns jsonb
language sql immutable
set search_path = pg_temp
as $$
  select jsonb_build_object('amount', p_amount, 'api_key_id', p_api_key_id,
    'operation', p_operation, 'run_id', p_run_id)
$$;

create or replace function credits_private.deduction_fingerprint(
  p_amount bigint, p_api_key_id text, p_operation text, p_run_id text
) returns bytea
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return credits_private.fingerprint('deduct_credits',
    credits_private.deduction_arguments(p_amount, p_api_key_id, p_operation, p_run_id));
end
$$;

-- A time as a whole number of microseconds: no time zone, no date style, no rounding.
create or replace function credits_private.microseconds(p_at timestamptz)
returns bigint
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return (extract(epoch from p_at) * 1000000)::bigint;
end
$$;

-- An interval as what it means here: months and microseconds, because a day has 24 hours. '1 day'
-- and '24 hours' are one argument. The 0 in between stands where keys from before migration 0005
-- may have days: p_has_days gives their form.
create or replace function credits_private.interval_parts(
  p_interval interval, p_has_days boolean = false
) returns jsonb
language plpgsql immutable strict
set search_path = pg_temp
as $$
begin
  return jsonb_build_array(
    (extract(year from p_interval) * 12 + extract(month from p_interval))::bigint,
    case when p_has_days then extract(day from p_interval)::bigint else 0 end,
    ((extract(hour from p_interval) * 60 + extract(minute from p_interval)) * 60000000
      + extract(microseconds from p_interval)
      + case when p_has_days then 0 else extract(day from p_interval) * 86400000000 end)::bigint);
end
$$;

-- The interval of such parts; null if they are none.
create or replace function credits_private.interval_of(p_parts jsonb)
returns interval
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return make_interval(months => (p_parts ->> 0)::int)
    + interval '1 microsecond' * (p_parts ->> 2)::bigint;
exception
  when data_exception then
    return null;
end
$$;

-- A deduction's key, which the ledger has, as a row of idempotency_keys would have it; no row if it
-- is not a deduction's key.
create or replace function credits_private.deduction_key(
  p_account_id text, p_idempotency_key text
) returns table (
  transaction_id bigint, available bigint, account_id text, idempotency_key text,
  fingerprint bytea, answer jsonb
)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return query
  select
    t.transaction_id,
    coalesce(t.available, l.balance_after),
    t.account_id,
    t.idempotency_key,
    credits_private.deduction_fingerprint(
      t.balance_after - t.amount - l.balance_after, t.api_key_id, t.operation, t.run_id),
    null::jsonb
  from credits_private.entries as t
  join credits_private.entries as l
    on l.account_id = t.account_id and l.entry_id = t.entry_id + t.entry_count - 1
  where t.account_id = p_account_id and t.idempotency_key = p_idempotency_key
    and t.kind = 'deduction';
end
$$;

create or replace function credits_private.key_is_known(
  p_account_id text, p_idempotency_key text
) returns boolean
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return exists (
    select from credits_private.entries as e
    where e.account_id = p_account_id and e.idempotency_key = p_idempotency_key)
  or exists (
    select from credits_private.idempotency_keys as k
    where k.account_id = p_account_id and k.idempotency_key = p_idempotency_key);
end
$$;

-- What is known of a key: nothing, another call (is_other), or the answer that its first call got.
-- Call it under the account's lock: an earlier call with the key has then committed, or never will.
-- The ledger has what a transaction did; details has the rest of the answer. A deduction's key and
-- arguments are in the ledger; every other call has a row for its key. The second fingerprint is
-- the one that the same call had before migration 0005, where they differ.
create or replace function credits_private.read_answer(
  p_account_id text, p_idempotency_key text, p_fingerprint bytea, p_old_fingerprint bytea = null
) returns credits_private.answer
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_key record;
  v_answer credits_private.answer;
begin
  select k.* into v_key
  from credits_private.idempotency_keys as k
  where k.account_id = p_account_id and k.idempotency_key = p_idempotency_key;
  if not found then
    select k.* into v_key
    from credits_private.deduction_key(p_account_id, p_idempotency_key) as k;
    if not found then
      return null;
    end if;
  end if;

  if v_key.transaction_id is not null then
    select
      t.transaction_id, t.grant_id, abs(l.balance_after - t.balance_after + t.amount),
      l.balance_after
    into v_answer.transaction_id, v_answer.grant_id, v_answer.amount, v_answer.balance
    from credits_private.entries as t
    join credits_private.entries as l
      on l.account_id = t.account_id and l.entry_id = t.entry_id + t.entry_count - 1
    where t.account_id = p_account_id and t.entry_id = v_key.transaction_id;
  end if;
  v_answer.available := v_key.available;
  v_answer.details := v_key.answer;
  v_answer.is_known := true;
  v_answer.is_other := v_key.fingerprint <> p_fingerprint
    and v_key.fingerprint is distinct from p_old_fingerprint;
  return v_answer;
end
$$;

-- The refusal of a key that another call has used. It names that call's function, or the arguments
-- that differ, as far as they are known (see differing_arguments).
create or replace function credits_private.reused_key_refusal(
  p_account_id text, p_idempotency_key text, p_answer credits_private.answer, p_function text,
  p_arguments jsonb
) returns credits_private.refusal
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_first record := credits_private.first_call(
    p_account_id, p_answer.transaction_id, p_answer.details);
begin
  return (
    'PT409', 'idempotency key reused with different arguments',
    jsonb_build_object('account_id', p_account_id, 'idempotency_key', p_idempotency_key,
      'transaction_id', p_answer.transaction_id, 'function', v_first.function_name,
      'differs', case when v_first.function_name = p_function then
        credits_private.differing_arguments(v_first.arguments, p_arguments) end),
    'A key belongs to one call with one set of arguments: look at the transaction that it made, '
      'or take a new key.',
    'a_request_takes_effect_once'
  )::credits_private.refusal;
end
$$;

-- Begins every call with a key, in the order of a call (ARCHITECTURE.md): the lock, the key,
-- whether the account is closed (p_needs_open), and what is due. If the request is a repeat, the
-- result has the answer that the first call got, under the names of the results' columns; if it is
-- new, it has the account as it is now and the moment of the call.
create or replace function credits_private.begin_request(
  p_account_id text, p_idempotency_key text, p_function text, p_arguments jsonb, p_at timestamptz,
  p_needs_open boolean = false, p_old_fingerprint bytea = null
) returns credits_private.request
language plpgsql
set search_path = pg_temp
as $$
declare
  v_request credits_private.request;
  v_account credits_private.account;
  v_answer credits_private.answer;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id
  for no key update;
  if not found then
    perform credits_private.raise_refusal(credits_private.no_such_account_refusal(p_account_id));
  end if;
  v_request.fingerprint := credits_private.fingerprint(p_function, p_arguments);
  if credits_private.key_is_known(p_account_id, p_idempotency_key) then
    v_answer := credits_private.read_answer(
      p_account_id, p_idempotency_key, v_request.fingerprint, p_old_fingerprint);
    if v_answer.is_other then
      perform credits_private.raise_refusal(credits_private.reused_key_refusal(
        p_account_id, p_idempotency_key, v_answer, p_function, p_arguments));
    end if;
    v_request.answer :=
      to_jsonb(v_answer) || coalesce(v_answer.details, '{}') || '{"replayed": true}';
    return v_request;
  end if;

  if p_needs_open then
    perform credits_private.check_is_open(v_account);
  end if;
  v_request.at := greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at);
  if v_account.due_at <= v_request.at then
    v_account := credits_private.settle(v_account, v_request.at);
  end if;
  v_request.account := v_account;
  return v_request;
end
$$;

-- Ends every call with a key: keeps the key and the answer. If no entry has the key, the account
-- notes that it has such keys: until then, a deduction looks for its key among entries only.
create or replace function credits_private.end_request(
  p_account_id text, p_idempotency_key text, p_fingerprint bytea, p_transaction_id bigint,
  p_available bigint, p_details jsonb = null, p_has_keys boolean = false
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.idempotency_keys (
    account_id, idempotency_key, fingerprint, transaction_id, available, answer
  ) values (
    p_account_id, p_idempotency_key, p_fingerprint, p_transaction_id, p_available, p_details
  );
  if p_transaction_id is null and not p_has_keys then
    update credits_private.accounts as a
    set has_keys = true
    where a.account_id = p_account_id and not a.has_keys;
  end if;
end
$$;
