create or replace function credits.deduct_credits_batch(
  p_deductions jsonb,
  p_all_or_nothing boolean = false
) returns setof credits.deduct_credits_batch_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return query select r.*
    from credits_private.deduct_batch(p_deductions, p_all_or_nothing, null) as r;
end
$$;

comment on function credits.deduct_credits_batch(jsonb, boolean) is $comment$
Books up to 10,000 deductions in one call, over any number of accounts.

`p_deductions` is a JSON array of objects with the names of `deduct_credits`' arguments, without
`p_`: `account_id`, `amount`, `idempotency_key`, and optionally `api_key_id`, `operation`, `run_id`
and `metadata`. Any other name is refused, so that a misspelt one is not overlooked. Each deduction
does what `deduct_credits` would do, and has its own key: repeating a batch, or a key within it,
takes effect once.

Returns one row per deduction, in the caller's order: its number from 1, its account and its key;
then the columns of `deduct_credits`, or, if it was refused, `error_code` (the SQLSTATE that
`deduct_credits` would raise), `error_message` and `error_detail`. The others are still booked. With
`p_all_or_nothing`, the first refusal is raised instead, with its number as `deduction` in the
detail, and nothing is booked.

Accounts are locked in ascending order (of bytes) until the end of the transaction, so batches in
opposite order never deadlock. Raises `22023` if `p_deductions` is no such array. Any other error
that it raises, such as `40001`, concerns the whole batch, and nothing has changed.
$comment$;
