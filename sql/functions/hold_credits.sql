create or replace function credits.hold_credits(
  p_account_id text,
  p_amount bigint,
  p_idempotency_key text,
  p_expires_in interval = '1 hour',
  p_api_key_id text = null,
  p_operation text = null,
  p_run_id text = null,
  p_metadata jsonb = '{}'
) returns credits.hold_credits_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.hold_credits_at(
    p_account_id collate "default", p_amount, p_idempotency_key collate "default", p_expires_in,
    p_api_key_id collate "default", p_operation collate "default", p_run_id collate "default",
    p_metadata, p_at => null);
end
$$;

comment on function
  credits.hold_credits(text, bigint, text, interval, text, text, text, jsonb)
is $comment$
Sets credits aside before the cost is known: hold, commit, work, then capture what it cost.

`p_amount`, in the account's smallest unit, 1 to 2^53 - 1, is reserved from the very grants that a
deduction with these arguments would draw on, and then from the overdraft. Only this hold can spend
what it has reserved, and that does not expire with its grant. The balance stays the same, and
`available` falls. Limits count what is held as if it were spent.

After `p_expires_in`, more than nothing and at most ten years (a day is 24 hours), the hold ends by
itself, on the instant, and what is left of it returns to its grants. Captures get the hold's
`p_api_key_id`, `p_operation` and `p_run_id`.

Returns the hold, the amount, the balance, what a deduction without an operation may take now,
whether this is a replay, when the hold expires, and the soft limits whose ceiling it would pass.

A repeat with the same key and arguments (metadata aside) returns the first answer with
`replayed = true` and changes nothing, whatever has become of the hold.

Raises `PT402` if less is available; `PT429` if a limit would be passed, with `retry_at`, or if
10,000 holds are open on the account; `PT404` if there is no such account; `PT409` if the key was
used with other arguments (`differs` in the detail; '1 day' and '24 hours' are the same) or by
another function; `PT423` if the account is closed; `22023` for a malformed argument, or for more
than 2^53 - 1 held in all. An error changes nothing.
$comment$;
