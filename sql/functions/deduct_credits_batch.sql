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
Up to 10,000 deductions in one call, over any number of accounts.

`p_deductions` is a json array of objects with the names of `deduct_credits`' arguments, without
`p_`: `account_id`, `amount`, `idempotency_key`, and, where wanted, `api_key_id`, `operation`,
`run_id`, `metadata`. Another name is refused, so that a misspelt one is not overlooked. Each
deduction is what `deduct_credits` would do, and has its own key: repeating a batch, or a key within
it, takes effect once.

Returns one row per deduction, in the caller's order: its number from 1, account and key; the
columns of `deduct_credits`; or, if it was refused, `error_code` (the SQLSTATE that `deduct_credits`
would raise), `error_message` and `error_detail`. The others are booked all the same. With
`p_all_or_nothing`, the first refusal is raised instead, with its number as `deduction` in the
detail, and nothing is booked.

Accounts are locked in ascending order (of bytes) until the end of the transaction, so batches in
opposite order never deadlock. Raises `22023` if the whole is no such array; what else it raises, as
`40001`, concerns the whole, and nothing was changed.
$comment$;
