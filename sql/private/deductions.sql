-- A deduction, alone or as one of a batch.

create or replace function credits_private.refused_deduction(
  p_refusal credits_private.refusal, p_raises boolean
) returns credits_private.deduction
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_raises then
    perform credits_private.raise_refusal(p_refusal);
  end if;
  return (null, p_refusal)::credits_private.deduction;
end
$$;

-- The answer to a key that was used before.
create or replace function credits_private.replay_deduction(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text, p_operation text,
  p_run_id text, p_raises boolean
) returns credits_private.deduction
language plpgsql
set search_path = pg_temp
as $$
declare
  v_answer credits_private.answer := credits_private.read_answer(
    p_account_id, p_idempotency_key,
    credits_private.deduction_fingerprint(p_amount, p_api_key_id, p_operation, p_run_id));
begin
  if v_answer.is_other then
    return credits_private.refused_deduction(credits_private.reused_key_refusal(
      p_account_id, p_idempotency_key, v_answer, 'deduct_credits',
      credits_private.deduction_arguments(p_amount, p_api_key_id, p_operation, p_run_id)),
      p_raises);
  end if;
  -- A deduction of 0 has no transaction, and its stored answer has everything.
  return ((v_answer.transaction_id,
    coalesce(v_answer.amount, (v_answer.details ->> 'amount')::bigint),
    coalesce(v_answer.balance, (v_answer.details ->> 'balance')::bigint), v_answer.available, true,
    nullif(array(select jsonb_array_elements_text(v_answer.details -> 'exceeded_limits')), '{}'),
    credits_private.refunded(p_account_id, v_answer.transaction_id)
    )::credits.deduct_credits_result, null)::credits_private.deduction;
end
$$;

-- The steps before a deduction draws, in the order of a call (ARCHITECTURE.md): no such account, a
-- known key, a closed account, what is due, limits. Call it under the account's lock.
create or replace function credits_private.enter_deduction(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text, p_operation text,
  p_run_id text, p_at timestamptz
) returns credits_private.entered
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
  v_check credits_private.limit_check;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id
  for no key update;
  if not found then
    return (null, false, credits_private.no_such_account_refusal(p_account_id), null)
      ::credits_private.entered;
  elsif credits_private.key_is_known(p_account_id, p_idempotency_key) then
    return (null, true, null, null)::credits_private.entered;
  elsif v_account.closed_at is not null then
    return (null, false, credits_private.closed_account_refusal(v_account), null)
      ::credits_private.entered;
  end if;
  if v_account.due_at <= p_at then
    v_account := credits_private.settle(v_account, p_at);
  end if;
  if v_account.has_limits then
    v_check := credits_private.examine_limits(
      v_account, p_amount, p_api_key_id, p_operation, p_run_id, p_at);
  end if;
  return (v_account, false, v_check.refusal, v_check.exceeded_limits)::credits_private.entered;
end
$$;

-- A deduction of 0: a call that was free, or answered from a cache. It has a key and an answer like
-- any other, but no entry, because nothing moves.
create or replace function credits_private.deduct_nothing(
  p_account_id text, p_idempotency_key text, p_api_key_id text, p_operation text, p_run_id text,
  p_at timestamptz, p_raises boolean
) returns credits_private.deduction
language plpgsql
set search_path = pg_temp
as $$
declare
  v_at timestamptz;
  v_entered credits_private.entered;
  v_result credits.deduct_credits_result;
begin
  select a.last_created_at into v_at
  from credits_private.accounts as a
  where a.account_id = p_account_id
  for no key update;
  v_at := greatest(coalesce(p_at, clock_timestamp()), v_at);
  v_entered := credits_private.enter_deduction(
    p_account_id, p_amount => 0, p_idempotency_key => p_idempotency_key,
    p_api_key_id => p_api_key_id, p_operation => p_operation, p_run_id => p_run_id, p_at => v_at);
  if v_entered.is_known then
    return credits_private.replay_deduction(p_account_id, p_amount => 0,
      p_idempotency_key => p_idempotency_key, p_api_key_id => p_api_key_id,
      p_operation => p_operation, p_run_id => p_run_id, p_raises => p_raises);
  elsif (v_entered.refusal).code is not null then
    return credits_private.refused_deduction(v_entered.refusal, p_raises);
  end if;

  -- The account's row must change: a call that waited for it at repeatable read must not miss the
  -- key.
  update credits_private.accounts as a
  set last_created_at = v_at
  where a.account_id = p_account_id;
  v_result := (null, 0, (v_entered.account).balance,
    credits_private.available(p_account_id, null, v_at), false, v_entered.exceeded_limits, 0
    )::credits.deduct_credits_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key,
    credits_private.deduction_fingerprint(p_amount => 0, p_api_key_id => p_api_key_id,
      p_operation => p_operation, p_run_id => p_run_id),
    p_transaction_id => null, p_available => v_result.available,
    p_details => jsonb_strip_nulls(jsonb_build_object('amount', 0,
      'balance', v_result.balance, 'exceeded_limits', v_entered.exceeded_limits)));
  return (v_result, null)::credits_private.deduction;
end
$$;

-- The order of a call (ARCHITECTURE.md): arguments, lock, key, closed, settle, limits, available,
-- draw, entries. The entries' trigger changes every figure with them. A refusal is raised, or
-- returned as a value for a batch: nothing has been written by then.
--
-- Most calls take this path, so its statements are inlined: each further function or statement
-- costs 3 to 10 % of its time. The insert itself detects a reused key.
create or replace function credits_private.deduct(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text, p_operation text,
  p_run_id text, p_metadata jsonb, p_at timestamptz, p_raises boolean
) returns credits_private.deduction
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account record;
  v_at timestamptz;
  v_entered credits_private.entered;
  v_draw credits_private.draw;
  v_balance bigint;
begin
  -- One expression if all is well; one check after the other to find what is not.
  if (p_amount between 1 and credits_private.max_amount()
    and p_account_id <> '' and p_idempotency_key <> ''
    and least(octet_length(p_api_key_id), octet_length(p_operation), octet_length(p_run_id), 1) = 1
    and greatest(octet_length(p_account_id), octet_length(p_idempotency_key),
      octet_length(p_api_key_id), octet_length(p_operation), octet_length(p_run_id)) <= 255
    and p_metadata = '{}') is not true
  then
    v_entered.refusal := credits_private.deduction_refusal(p_account_id, p_amount,
      p_idempotency_key, p_api_key_id, p_operation, p_run_id, p_metadata, p_raises);
    if (v_entered.refusal).code is not null then
      return (null, v_entered.refusal)::credits_private.deduction;
    elsif p_amount = 0 then
      return credits_private.deduct_nothing(p_account_id, p_idempotency_key, p_api_key_id,
        p_operation, p_run_id, p_at, p_raises);
    end if;
  end if;

  select a.balance, a.debt, a.overdraft_limit, a.overdraft_held, a.last_entry_id,
    a.last_created_at, a.due_at, a.period, a.has_keys, a.has_limits, a.closed_at
  into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id
  for no key update;
  v_at := greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at);

  if (v_account.has_keys or v_account.has_limits or v_account.due_at <= v_at
    or v_account.closed_at is not null) is not false
  then
    v_entered := credits_private.enter_deduction(p_account_id, p_amount, p_idempotency_key,
      p_api_key_id, p_operation, p_run_id, v_at);
    if v_entered.is_known then
      return credits_private.replay_deduction(p_account_id, p_amount, p_idempotency_key,
        p_api_key_id, p_operation, p_run_id, p_raises);
    elsif (v_entered.refusal).code is not null then
      return credits_private.refused_deduction(v_entered.refusal, p_raises);
    end if;
    v_account := v_entered.account;
  end if;

  v_draw := credits_private.draw(p_account_id, p_amount, p_operation, v_at,
    greatest(0, v_account.overdraft_limit - v_account.debt - v_account.overdraft_held));
  if v_draw.drawable < p_amount then
    if credits_private.key_is_known(p_account_id, p_idempotency_key) then
      return credits_private.replay_deduction(p_account_id, p_amount, p_idempotency_key,
        p_api_key_id, p_operation, p_run_id, p_raises);
    end if;
    return credits_private.refused_deduction(credits_private.shortage_refusal(
      p_account_id, p_amount, v_draw.drawable, p_operation), p_raises);
  end if;

  v_balance := v_account.balance;
  for v_n in 1 .. cardinality(v_draw.grant_ids) loop
    v_balance := v_balance - v_draw.amounts[v_n];
    insert into credits_private.entries (
      account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount, balance_after,
      period, effective_at, created_at, api_key_id, operation, run_id, idempotency_key, metadata,
      available
    ) values (
      p_account_id, v_account.last_entry_id + v_n, v_account.last_entry_id + 1,
      cardinality(v_draw.grant_ids), 'deduction', v_draw.grant_ids[v_n], -v_draw.amounts[v_n],
      v_balance, v_account.period, v_at, v_at, p_api_key_id, p_operation, p_run_id,
      case when v_n = 1 then p_idempotency_key end,
      case when v_n = 1 then nullif(p_metadata, '{}') end,
      case when v_n = 1 then nullif(v_draw.available_after, v_account.balance - p_amount) end
    )
    on conflict (account_id, idempotency_key) do nothing;
    if not found then
      return credits_private.replay_deduction(p_account_id, p_amount, p_idempotency_key,
        p_api_key_id, p_operation, p_run_id, p_raises);
    end if;
  end loop;
  if v_entered.exceeded_limits is not null then
    perform credits_private.end_request(p_account_id, p_idempotency_key,
      credits_private.deduction_fingerprint(p_amount, p_api_key_id, p_operation, p_run_id),
      v_account.last_entry_id + 1, v_draw.available_after,
      jsonb_build_object('exceeded_limits', v_entered.exceeded_limits));
  end if;
  return ((v_account.last_entry_id + 1, p_amount, v_balance, v_draw.available_after, false,
    v_entered.exceeded_limits, 0)::credits.deduct_credits_result, null)::credits_private.deduction;
end
$$;

create or replace function credits_private.deduct_credits_at(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text, p_operation text,
  p_run_id text, p_metadata jsonb, p_at timestamptz
) returns credits.deduct_credits_result
language plpgsql
set search_path = pg_temp
as $$
begin
  return (credits_private.deduct(p_account_id, p_amount, p_idempotency_key, p_api_key_id,
    p_operation, p_run_id, p_metadata, p_at, p_raises => true)).result;
end
$$;
