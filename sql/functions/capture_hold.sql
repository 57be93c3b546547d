create or replace function credits.capture_hold(
  p_account_id text,
  p_hold_id bigint,
  p_amount bigint,
  p_idempotency_key text,
  p_final boolean = true,
  p_metadata jsonb = '{}'
) returns credits.capture_hold_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.capture(
    p_account_id collate "default", p_hold_id, p_amount, p_idempotency_key collate "default",
    p_final, p_metadata, null);
end
$$;

comment on function credits.capture_hold(text, bigint, bigint, text, boolean, jsonb) is $comment$
Takes what a hold's work has cost, in part or in the end.

`p_amount`, in the account's smallest unit, is drawn from what the hold has reserved; what exceeds
that is drawn from what is available, as a deduction with the hold's API key, operation and run
would be, or the capture fails whole. With `p_final` the hold ends with it and the rest of what it
reserved is free again: 0 is then a release. Without, it stays open for the next capture. A run
that holds 1,000 and captures 180 and 220, and 37 in the end, has cost 437. `calls` counts a hold
once, at its first capture of more than 0.

Returns the hold, the capture's transaction (null for 0), the amount, the balance, what a deduction
without operation may take, whether this is a replay, what the hold still has, the soft limits
whose ceiling an excess left behind, and how much of the capture has been refunded since.

A repeat with the same key and arguments (metadata aside) returns the first answer with `replayed =
true` and changes nothing; only `refunded` is that of now.

Raises `PT410` if the hold is not open any more: the detail's `state` is 'expired', 'released' or
'captured'; `PT402` if the excess is not available (`requested`, `available`), `PT429` if it would
pass a limit; `PT404` if there is no such account or hold; `PT409` if the key was used with other
arguments or by another function; `22023` for a malformed argument. Whatever it raises, nothing was
changed. A closed account's holds can be captured, but for no more than they hold.
$comment$;
