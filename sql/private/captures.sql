-- The parts of a capture.

create or replace function credits_private.check_capture(
  p_account_id text, p_hold_id bigint, p_amount bigint, p_idempotency_key text, p_final boolean,
  p_metadata jsonb
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_hold_id(p_account_id, p_hold_id);
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);
  perform credits_private.check_metadata(p_account_id, p_metadata);
  if p_final is null then
    perform credits_private.check_id(p_account_id, 'p_final', null);
  elsif p_amount is distinct from 0 then
    perform credits_private.check_amount(p_account_id, 'p_amount', p_amount);
  elsif not p_final then
    perform credits_private.refuse_argument(p_account_id, 'p_amount',
      'a capture of 0 must be final', 'It releases the hold; otherwise it would do nothing.');
  end if;
end
$$;

revoke all on function
  credits_private.check_capture(text, bigint, bigint, text, boolean, jsonb) from public;

-- What exceeds a hold needs what a deduction needs: of a closed account, there is nothing. Returns
-- the soft limits whose ceiling the
-- capture leaves behind.
create or replace function credits_private.check_excess(
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
  v_check := credits_private.check_limits(p_account, p_amount, p_hold.api_key_id,
    p_hold.operation, p_hold.run_id, p_at, p_hold.hold_id);
  perform credits_private.raise_refusal(v_check.refusal);
  v_drawable := p_hold.held;
  if p_account.closed_at is null then
    v_drawable := v_drawable + (credits_private.draw(p_account.account_id, 0, p_hold.operation,
      p_at, credits_private.overdraft(p_account))).drawable;
  end if;
  if v_drawable < p_amount then
    perform credits_private.raise_refusal(credits_private.refuse_shortage(
      p_account.account_id, p_amount, v_drawable, p_hold.operation, p_hold.hold_id));
  end if;
  return v_check.exceeded_limits;
end
$$;

revoke all on function credits_private.check_excess(
  credits_private.account, credits_private.hold, bigint, timestamptz) from public;

-- Draws on the hold first, in its order, and then on what is available. What was reserved is let go
-- of right before it is spent: under the lock, nobody else can come in between.
create or replace function credits_private.write_capture(
  p_account credits_private.account, p_hold credits_private.hold, p_amount bigint,
  p_idempotency_key text, p_final boolean, p_metadata jsonb, p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_parts record := credits_private.held_parts(p_account.account_id, p_hold.hold_id);
  v_overdraft bigint := credits_private.overdraft(p_account);
  v_left bigint := p_amount;
  v_grant_ids bigint[] := '{}'::bigint[];
  v_amounts bigint[] := '{}'::bigint[];
  v_draw credits_private.draw;
  v_entry credits_private.entry;
begin
  for v_n in 1 .. cardinality(v_parts.grant_ids) loop
    exit when v_left = 0;
    v_grant_ids := array_append(v_grant_ids, v_parts.grant_ids[v_n]);
    v_amounts := v_amounts || least(v_parts.amounts[v_n], v_left);
    v_left := v_left - least(v_parts.amounts[v_n], v_left);
  end loop;
  v_draw := credits_private.draw(
    p_account.account_id, v_left, p_hold.operation, p_at, v_overdraft);
  p_account := credits_private.write_parts(
    p_account, p_hold.hold_id, v_grant_ids, v_amounts, -1, p_at, p_at);

  v_entry.kind := 'capture';
  v_entry.hold_id := p_hold.hold_id;
  v_entry.is_final := p_final;
  -- The first one counts as the hold's call.
  v_entry.is_first := not exists (
    select from credits_private.entries as e
    where e.account_id = p_account.account_id and e.kind = 'capture'
      and e.refunded_entry_id is null and e.hold_id = p_hold.hold_id and e.is_first);
  v_entry.effective_at := p_at;
  v_entry.created_at := p_at;
  v_entry.api_key_id := p_hold.api_key_id;
  v_entry.operation := p_hold.operation;
  v_entry.run_id := p_hold.run_id;
  v_entry.idempotency_key := p_idempotency_key;
  v_entry.metadata := nullif(p_metadata, '{}');
  return credits_private.write_entries(p_account, v_entry,
    v_grant_ids || v_draw.grant_ids, v_amounts || v_draw.amounts, -1);
end
$$;

revoke all on function credits_private.write_capture(
  credits_private.account, credits_private.hold, bigint, text, boolean, jsonb, timestamptz
) from public;
