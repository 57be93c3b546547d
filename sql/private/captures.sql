-- The parts of a capture.

create or replace function credits_private.check_capture(
  p_account_id text, p_hold_id bigint, p_amount bigint, p_idempotency_key text, p_final boolean,
  p_metadata jsonb
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if (p_hold_id > 0 and p_amount between 1 and credits_private.max_amount() and p_final is not null
    and num_nulls(p_account_id, p_idempotency_key) = 0 and p_metadata = '{}'
    and least(p_account_id, p_idempotency_key) <> ''
    and greatest(octet_length(p_account_id), octet_length(p_idempotency_key)) <= 255)
  then
    return;
  end if;
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_hold_id(p_account_id, p_hold_id);
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);
  perform credits_private.check_metadata(p_account_id, p_metadata);
  if p_final is null then
    perform credits_private.require_value(p_account_id, 'p_final', null);
  end if;
  if p_amount is distinct from 0 then
    perform credits_private.check_amount(p_account_id, 'p_amount', p_amount);
  elsif not p_final then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_amount',
      'a capture of 0 must be final', 'It releases the hold; otherwise it would do nothing.');
  end if;
end
$$;

-- The excess over a hold must pass what a deduction must pass; on a closed account, nothing is
-- available for it. Returns the soft limits whose ceiling the capture passes.
create or replace function credits_private.admit_excess(
  p_account credits_private.account, p_hold credits_private.hold, p_amount bigint,
  p_at timestamptz
) returns text[]
language plpgsql
set search_path = pg_temp
as $$
declare
  v_check credits_private.limit_check;
  v_drawable bigint;
begin
  v_check := credits_private.examine_limits(p_account, p_amount, p_hold.api_key_id,
    p_hold.operation, p_hold.run_id, p_at, p_hold.hold_id);
  perform credits_private.raise_refusal(v_check.refusal);
  v_drawable := p_hold.held;
  if p_account.closed_at is null then
    v_drawable := v_drawable + (credits_private.draw(p_account.account_id, p_amount => 0,
      p_operation => p_hold.operation, p_at => p_at,
      p_overdraft => credits_private.overdraft(p_account))).drawable;
  end if;
  if v_drawable < p_amount then
    perform credits_private.raise_refusal(credits_private.shortage_refusal(
      p_account.account_id, p_amount, v_drawable, p_hold.operation, p_hold.hold_id));
  end if;
  return v_check.exceeded_limits;
end
$$;

-- Draws on the hold first, in the hold's order, and then on what is available. The reservation is
-- released right before it is spent, and with the last capture all that is left of it: under the
-- lock, no other call can come in between. p_grant_ids and p_amounts are what is left of the hold;
-- returns what of it was released unspent.
create or replace function credits_private.write_capture(
  p_account credits_private.account, p_hold credits_private.hold, p_amount bigint,
  p_idempotency_key text, p_final boolean, p_metadata jsonb, p_at timestamptz
) returns credits_private.captured
language plpgsql
set search_path = pg_temp
as $$
declare
  v_parts record := credits_private.held_parts(p_account.account_id, p_hold.hold_id);
  v_left bigint := p_amount;
  v_spent bigint;
  v_grant_ids bigint[] := '{}'::bigint[];
  v_amounts bigint[] := '{}'::bigint[];
  v_released_grant_ids bigint[] := '{}'::bigint[];
  v_released_amounts bigint[] := '{}'::bigint[];
  v_draw credits_private.draw;
begin
  for v_n in 1 .. cardinality(v_parts.grant_ids) loop
    v_spent := least(v_parts.amounts[v_n], v_left);
    if v_spent > 0 then
      v_grant_ids := array_append(v_grant_ids, v_parts.grant_ids[v_n]);
      v_amounts := v_amounts || v_spent;
      v_left := v_left - v_spent;
    end if;
    if v_spent < v_parts.amounts[v_n] then
      v_released_grant_ids := array_append(v_released_grant_ids, v_parts.grant_ids[v_n]);
      v_released_amounts := v_released_amounts || v_parts.amounts[v_n] - v_spent;
    end if;
  end loop;
  if v_left > 0 then
    v_draw := credits_private.draw(p_account.account_id, v_left, p_hold.operation, p_at,
      credits_private.overdraft(p_account));
  end if;
  if p_final then
    p_account := credits_private.write_parts(p_account, p_hold.hold_id, v_parts.grant_ids,
      v_parts.amounts, p_sign => -1, p_effective_at => p_at, p_created_at => p_at);
  else
    p_account := credits_private.write_parts(p_account, p_hold.hold_id, v_grant_ids, v_amounts,
      p_sign => -1, p_effective_at => p_at, p_created_at => p_at);
  end if;
  p_account := credits_private.write_entries(p_account,
    credits_private.capture_entry(p_hold, p_idempotency_key, p_final, p_metadata, p_at),
    v_grant_ids || v_draw.grant_ids, v_amounts || v_draw.amounts, p_sign => -1);
  return (p_account, v_released_grant_ids, v_released_amounts)::credits_private.captured;
end
$$;

-- What the entries of a capture have in common.
create or replace function credits_private.capture_entry(
  p_hold credits_private.hold, p_idempotency_key text, p_final boolean, p_metadata jsonb,
  p_at timestamptz
) returns credits_private.entry
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_entry credits_private.entry;
begin
  v_entry.kind := 'capture';
  v_entry.hold_id := p_hold.hold_id;
  v_entry.is_final := p_final;
  -- The first capture counts as the hold's call. A hold that has all of its amount has none yet.
  v_entry.is_first := p_hold.held = p_hold.amount or not exists (
    select from credits_private.entries as e
    where e.account_id = p_hold.account_id and e.kind = 'capture'
      and e.refunded_entry_id is null and e.hold_id = p_hold.hold_id and e.is_first);
  v_entry.effective_at := p_at;
  v_entry.created_at := p_at;
  v_entry.api_key_id := p_hold.api_key_id;
  v_entry.operation := p_hold.operation;
  v_entry.run_id := p_hold.run_id;
  v_entry.idempotency_key := p_idempotency_key;
  v_entry.metadata := nullif(p_metadata, '{}');
  return v_entry;
end
$$;

create or replace function credits_private.capture(
  p_account_id text, p_hold_id bigint, p_amount bigint, p_idempotency_key text, p_final boolean,
  p_metadata jsonb, p_at timestamptz
) returns credits.capture_hold_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_request credits_private.request;
  v_account credits_private.account;
  v_hold credits_private.hold;
  v_captured credits_private.captured;
  v_exceeded_limits text[];
  v_transaction_id bigint;
  v_result credits.capture_hold_result;
begin
  perform credits_private.check_capture(
    p_account_id, p_hold_id, p_amount, p_idempotency_key, p_final, p_metadata);
  v_request := credits_private.begin_request(p_account_id, p_idempotency_key, 'capture_hold',
    jsonb_build_object('hold_id', p_hold_id, 'amount', p_amount, 'final', nullif(p_final, true)),
    p_at);
  if v_request.answer is not null then
    v_result := jsonb_populate_record(v_result, v_request.answer);
    v_result.refunded := credits_private.refunded(p_account_id, v_result.transaction_id);
    return v_result;
  end if;

  v_account := v_request.account;
  v_hold := credits_private.open_hold(p_account_id, p_hold_id);

  if p_amount > v_hold.held then
    v_exceeded_limits := credits_private.admit_excess(v_account, v_hold, p_amount, v_request.at);
  end if;
  if p_amount > 0 then
    v_transaction_id := v_account.last_entry_id + 1;
    v_captured := credits_private.write_capture(
      v_account, v_hold, p_amount, p_idempotency_key, p_final, p_metadata, v_request.at);
    v_account := v_captured.account;
    if p_final then
      perform credits_private.end_hold(p_account_id, p_hold_id, 'captured', v_request.at);
    end if;
    v_account := credits_private.tidy(v_account,
      case when p_final then v_captured.released_grant_ids else '{}' end,
      case when p_final then v_captured.released_amounts else '{}' end,
      v_request.at, v_request.at);
  else
    v_account := credits_private.resolve_hold(
      v_account, p_hold_id, 'released', v_request.at, v_request.at);
  end if;

  v_result := (p_hold_id, v_transaction_id, p_amount, v_account.balance,
    credits_private.available_of(v_account, v_request.at), false,
    case when p_final then 0 else greatest(0, v_hold.held - p_amount) end, v_exceeded_limits, 0
    )::credits.capture_hold_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint,
    v_transaction_id, v_result.available, to_jsonb(v_result) - 'refunded');
  return v_result;
end
$$;
