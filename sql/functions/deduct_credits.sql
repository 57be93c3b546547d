create or replace function credits.deduct_credits(
  p_account_id text,
  p_amount bigint,
  p_idempotency_key text,
  p_api_key_id text = null,
  p_operation text = null,
  p_run_id text = null,
  p_metadata jsonb = '{}'
) returns credits.deduct_credits_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return (credits_private.deduct(
    p_account_id collate "default", p_amount, p_idempotency_key collate "default",
    p_api_key_id collate "default", p_operation collate "default", p_run_id collate "default",
    p_metadata, p_at => null, p_raises => true)).result;
end
$$;

comment on function credits.deduct_credits(text, bigint, text, text, text, text, jsonb) is $comment$
Takes credits from an account now, or fails whole.

`p_amount` is in the account's smallest unit, 0 to 2^53 - 1. A deduction of 0, for a call that was
free, gets an answer and keeps its key, but writes no transaction (null) and is not counted as a
call in usage and invoices. Any other deduction is drawn from the account's grants in burn-down
order: lower priority first, then scoped before unscoped, earlier expiry first (never comes last),
free before paid, older first. What the grants do not cover is drawn from the overdraft, as debt. A
grant with a scope is used only if `p_operation` is in it; expired and held credits are never used.
`p_api_key_id`, `p_operation` and `p_run_id` say what the credits were spent on. Usage and invoice
lines are per API key and operation, and null is a group like any other. Limits can be set on each
of the three.

Returns the transaction, the amount, the balance after it, what a deduction without an operation may
take after it, whether this is a replay, the soft limits whose ceiling it has passed
(`exceeded_limits`, null if none), and how much of it has been refunded since (`refunded`).

A repeat with the same key and arguments (metadata aside) returns the first answer with
`replayed = true` and changes nothing, even if the balance would no longer allow it or the account
is closed. Only `refunded` is up to date: it shows a retried job that its deduction was given back,
and that it needs a new key to be charged again.

Raises `PT402` if less is available, with `requested` and `available` in the detail; `PT429` if a
limit would be passed, with `limit_id`, `ceiling`, `spent`, `reserved`, `remaining` and `retry_at`,
the start of its next window; `PT404` if there is no such account; `PT409` if the key was used with
other arguments (`differs`) or by another function (`function`); `PT423` if the account is closed;
`22023` for a malformed argument. An error changes nothing. To get a shortage as a row instead of an
error, call `deduct_credits_batch` with one deduction.
$comment$;
