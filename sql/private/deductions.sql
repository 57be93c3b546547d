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

-- Draws a deduction from the grants, and writes its entries. p_account is the account as it was
-- locked and settled. The first insert detects a reused key. Its statement is inlined, because
-- write_entries costs a tenth more.
create or replace function credits_private.draw_deduction(
  p_account credits_private.locked_account, p_account_id text, p_amount bigint,
  p_idempotency_key text, p_api_key_id text, p_operation text, p_run_id text, p_metadata jsonb,
  p_at timestamptz, p_raises boolean
) returns credits_private.deduction
language plpgsql
set search_path = pg_temp
as $$
declare
  v_draw credits_private.draw := credits_private.draw(
    p_account_id, p_amount, p_operation, p_at, greatest(0, p_account.overdraft));
  v_balance bigint := p_account.balance;
begin
  if v_draw.drawable < p_amount or p_account.head_grant_id is not null then
    if credits_private.key_is_known(p_account_id, p_idempotency_key) then
      return credits_private.replay_deduction(p_account_id, p_amount, p_idempotency_key,
        p_api_key_id, p_operation, p_run_id, p_raises);
    elsif v_draw.drawable < p_amount then
      return credits_private.refused_deduction(credits_private.shortage_refusal(
        p_account_id, p_amount, v_draw.drawable, p_operation), p_raises);
    end if;
    perform credits_private.put_down_head_of(p_account_id);
  end if;

  for v_n in 1 .. cardinality(v_draw.grant_ids) loop
    v_balance := v_balance - v_draw.amounts[v_n];
    insert into credits_private.entries (
      account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount, balance_after,
      period, effective_at, created_at, api_key_id, operation, run_id, idempotency_key, metadata,
      available
    ) values (
      p_account_id, p_account.last_entry_id + v_n, p_account.last_entry_id + 1,
      cardinality(v_draw.grant_ids), 'deduction', v_draw.grant_ids[v_n], -v_draw.amounts[v_n],
      v_balance, p_account.period, p_at, p_at, p_api_key_id, p_operation, p_run_id,
      case when v_n = 1 then p_idempotency_key end,
      case when v_n = 1 then p_metadata end,
      case when v_n = 1 then nullif(v_draw.available_after, p_account.balance - p_amount) end
    )
    on conflict (account_id, idempotency_key) do nothing;
    if not found then
      return credits_private.replay_deduction(p_account_id, p_amount, p_idempotency_key,
        p_api_key_id, p_operation, p_run_id, p_raises);
    end if;
  end loop;
  if v_draw.front_entry_id = p_account.last_entry_id then
    perform credits_private.take_up_head(p_account_id, p_account.last_entry_id);
  end if;
  return ((p_account.last_entry_id + 1, p_amount, v_balance, v_draw.available_after, false,
    null, 0)::credits.deduct_credits_result, null)::credits_private.deduction;
end
$$;

-- Deducts in the order of a call (ARCHITECTURE.md): key, closed, settle, limits, and what follows.
-- p_account is the account as it was locked, of nulls if there is none: its id may be malformed.
create or replace function credits_private.deduct_at_length(
  p_account credits_private.locked_account, p_account_id text, p_amount bigint,
  p_idempotency_key text, p_api_key_id text, p_operation text, p_run_id text, p_metadata jsonb,
  p_at timestamptz, p_raises boolean
) returns credits_private.deduction
language plpgsql
set search_path = pg_temp
as $$
declare
  v_refusal credits_private.refusal;
  v_entered credits_private.entered;
  v_account credits_private.account;
  v_deduction credits_private.deduction;
  v_result credits.deduct_credits_result;
begin
  if p_account.balance is null then
    v_refusal := credits_private.deduction_refusal(p_account_id, p_amount, p_idempotency_key,
      p_api_key_id, p_operation, p_run_id, coalesce(p_metadata, '{}'), p_raises);
    return credits_private.refused_deduction(case when v_refusal.code is null
      then credits_private.no_such_account_refusal(p_account_id) else v_refusal end, p_raises);
  end if;
  v_entered := credits_private.enter_deduction(p_account_id, p_amount,
    p_idempotency_key, p_api_key_id, p_operation, p_run_id, p_at);
  if v_entered.is_known then
    return credits_private.replay_deduction(p_account_id, p_amount, p_idempotency_key,
      p_api_key_id, p_operation, p_run_id, p_raises);
  elsif (v_entered.refusal).code is not null then
    return credits_private.refused_deduction(v_entered.refusal, p_raises);
  end if;
  v_account := v_entered.account;
  p_account := (v_account.balance, v_account.plain_above, v_account.head_grant_id,
    v_account.last_entry_id, v_account.last_created_at, v_account.due_at, v_account.period,
    v_account.available_above, v_account.scoped_operations, v_account.has_limits,
    v_account.has_keys, credits_private.overdraft(v_account), v_account.closed_at,
    v_account.time_zone
    )::credits_private.locked_account;
  v_deduction := credits_private.draw_deduction(p_account, p_account_id, p_amount,
    p_idempotency_key, p_api_key_id, p_operation, p_run_id, p_metadata, p_at, p_raises);
  if v_entered.exceeded_limits is not null and (v_deduction.refusal).code is null then
    v_result := v_deduction.result;
    v_result.exceeded_limits := v_entered.exceeded_limits;
    v_deduction.result := v_result;
    perform credits_private.end_request(p_account_id, p_idempotency_key,
      credits_private.deduction_fingerprint(p_amount, p_api_key_id, p_operation, p_run_id),
      v_result.transaction_id, v_result.available,
      jsonb_build_object('exceeded_limits', v_entered.exceeded_limits));
  end if;
  return v_deduction;
end
$$;

-- A deduction of an account on a plain day, which nearly every call is: the head covers it, and
-- nothing is due (ARCHITECTURE.md). Such a call is four statements: the lock, the insert, and the
-- two updates of the entries' trigger, which changes every figure with the entry. The insert itself
-- detects a reused key: its snapshot is younger than the lock. Anything else goes the long way.
--
-- A refusal is raised, or returned as a value for a batch: nothing has been written by then. The
-- statements are inlined: each further function or statement costs 3 to 10 % of the call's time.
create or replace function credits_private.deduct(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text, p_operation text,
  p_run_id text, p_metadata jsonb, p_at timestamptz, p_raises boolean
) returns credits_private.deduction
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.locked_account;
  v_at timestamptz;
  v_metadata jsonb;
  v_refusal credits_private.refusal;
begin
  -- One expression if all is well, as it nearly always is; one check after the other to find what
  -- is not. Any account id that has a row is well-formed.
  if (p_amount between 1 and credits_private.max_amount()
    and least(p_idempotency_key, p_api_key_id, p_operation, p_run_id) <> ''
    and p_idempotency_key is not null and p_metadata = '{}'
    and greatest(octet_length(p_idempotency_key), octet_length(p_api_key_id),
      octet_length(p_operation), octet_length(p_run_id)) <= 255) is not true
  then
    v_refusal := credits_private.deduction_refusal(p_account_id, p_amount,
      p_idempotency_key, p_api_key_id, p_operation, p_run_id, p_metadata, p_raises);
    if v_refusal.code is not null then
      return (null, v_refusal)::credits_private.deduction;
    elsif p_amount = 0 then
      return credits_private.deduct_nothing(p_account_id, p_idempotency_key, p_api_key_id,
        p_operation, p_run_id, p_at, p_raises);
    end if;
    v_metadata := nullif(p_metadata, '{}');
  end if;

  select a.balance, a.plain_above, a.head_grant_id, a.last_entry_id, a.last_created_at, a.due_at,
    a.period, a.available_above, a.scoped_operations, a.has_limits, a.has_keys,
    a.overdraft_limit - a.debt - a.overdraft_held, a.closed_at, a.time_zone
  into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id
  for no key update;
  v_at := greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at);
  if (p_amount < v_account.balance - v_account.plain_above and v_account.due_at > v_at
    and not v_account.has_limits
    and (v_account.scoped_operations is null
      or (p_operation = any (v_account.scoped_operations)) is not true)) is not true
  then
    if not v_account.has_limits or (p_amount < v_account.balance - v_account.plain_above
      and v_account.due_at > v_at and (p_operation = any (v_account.scoped_operations)) is not true
      and credits_private.is_within_ceilings(p_account_id, v_account.period, v_account.time_zone,
        p_amount, p_api_key_id, p_operation, p_run_id, v_at)) is not true
    then
      if (v_account.has_keys or v_account.has_limits or v_account.due_at <= v_at
        or v_account.closed_at is not null) is not false
      then
        return credits_private.deduct_at_length(v_account, p_account_id, p_amount,
          p_idempotency_key, p_api_key_id, p_operation, p_run_id, v_metadata, v_at, p_raises);
      end if;
      return credits_private.draw_deduction(v_account, p_account_id, p_amount, p_idempotency_key,
        p_api_key_id, p_operation, p_run_id, v_metadata, v_at, p_raises);
    end if;
  end if;

  insert into credits_private.entries (
    account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount, balance_after,
    period, effective_at, created_at, api_key_id, operation, run_id, idempotency_key, metadata,
    available
  )
  select p_account_id, v_account.last_entry_id + 1, v_account.last_entry_id + 1, 1, 'deduction',
    v_account.head_grant_id, -p_amount, v_account.balance - p_amount, v_account.period, v_at, v_at,
    p_api_key_id, p_operation, p_run_id, p_idempotency_key, v_metadata,
    case when v_account.available_above <> 0
      then v_account.balance - p_amount + v_account.available_above end
  where not exists (
    select from credits_private.idempotency_keys as k
    where k.account_id = p_account_id and k.idempotency_key = p_idempotency_key)
  on conflict (account_id, idempotency_key) do nothing;
  if not found then
    return credits_private.replay_deduction(p_account_id, p_amount, p_idempotency_key,
      p_api_key_id, p_operation, p_run_id, p_raises);
  end if;
  return ((v_account.last_entry_id + 1, p_amount, v_account.balance - p_amount,
    v_account.balance - p_amount + v_account.available_above, false, null, 0
    )::credits.deduct_credits_result, null)::credits_private.deduction;
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
