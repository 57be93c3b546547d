-- What calls in flight still need. A public function waits for a deploy in its first statement, and
-- then runs on in its old body, which returns the result type that its caller was planned for. So
-- what the old bodies call stays for one more release, with its old result types. These functions
-- are those of migration 0004; the release after the one that brings 0005 drops them, and the
-- types.

create or replace function credits_private.book_deduction(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text, p_operation text,
  p_run_id text, p_metadata jsonb, p_at timestamptz, p_raises boolean
) returns credits_private.deduction_0004
language plpgsql
set search_path = pg_temp
as $$
declare
  v_deduction credits_private.deduction := credits_private.deduct(p_account_id, p_amount,
    p_idempotency_key, p_api_key_id, p_operation, p_run_id, p_metadata, p_at, p_raises);
  v_result credits.deduct_credits_result := v_deduction.result;
begin
  return ((v_result.transaction_id, v_result.amount, v_result.balance, v_result.available,
    v_result.replayed, v_result.exceeded_limits)::credits_private.deduct_credits_result_0004,
    v_deduction.refusal)::credits_private.deduction_0004;
end
$$;

create or replace function credits_private.deduct_credits_batch_at(
  p_deductions jsonb, p_all_or_nothing boolean, p_at timestamptz
) returns setof credits_private.deduct_credits_batch_result_0004
language plpgsql
set search_path = pg_temp
as $$
begin
  return query
  select r.deduction, r.account_id, r.idempotency_key, r.transaction_id, r.amount, r.balance,
    r.available, r.replayed, r.exceeded_limits, r.error_code, r.error_message, r.error_detail
  from credits_private.deduct_batch(p_deductions, p_all_or_nothing, p_at) as r;
end
$$;

create or replace function credits_private.grant_credits_at(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_source text, p_priority int,
  p_expires_at timestamptz, p_effective_at timestamptz, p_operations text[], p_paid_amount bigint,
  p_paid_currency text, p_metadata jsonb, p_at timestamptz
) returns credits_private.grant_credits_result_0004
language plpgsql
set search_path = pg_temp
as $$
declare
  v_result credits.grant_credits_result := credits_private.grant_credits_at(p_account_id, p_amount,
    p_idempotency_key, p_source, p_priority, p_expires_at, p_effective_at, p_operations,
    p_paid_amount, p_paid_currency, p_metadata, p_expires_in => null::interval, p_at => p_at);
begin
  return (v_result.grant_id, v_result.transaction_id, v_result.amount, v_result.balance,
    v_result.available, v_result.replayed, v_result.repaid
    )::credits_private.grant_credits_result_0004;
end
$$;

create or replace function credits_private.capture_hold_at(
  p_account_id text, p_hold_id bigint, p_amount bigint, p_idempotency_key text, p_final boolean,
  p_metadata jsonb, p_at timestamptz
) returns credits_private.capture_hold_result_0004
language plpgsql
set search_path = pg_temp
as $$
declare
  v_result credits.capture_hold_result := credits_private.capture(
    p_account_id, p_hold_id, p_amount, p_idempotency_key, p_final, p_metadata, p_at);
begin
  return (v_result.hold_id, v_result.transaction_id, v_result.amount, v_result.balance,
    v_result.available, v_result.replayed, v_result.held, v_result.exceeded_limits
    )::credits_private.capture_hold_result_0004;
end
$$;
