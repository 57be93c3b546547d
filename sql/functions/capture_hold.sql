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
    p_final, p_metadata, p_at => null);
end
$$;

comment on function credits.capture_hold(text, bigint, bigint, text, boolean, jsonb) is $comment$
Takes what the work behind a hold has cost, in one capture or in several.

`p_amount`, in the account's smallest unit, is drawn from what the hold has reserved. Any excess is
drawn from what is available, as a deduction with the hold's API key, operation and run would be; if
there is not enough, the whole capture fails. With `p_final`, the capture ends the hold and frees
the rest of what it reserved; a final capture of 0 is a release. Without it, the hold stays open for
the next capture. A run that holds 1,000, captures 180 and 220, and finally captures 37, has cost
437. `calls` counts a hold once, at its first capture of more than 0.

Returns the hold, the capture's transaction (null for 0), the amount, the balance, what a deduction
without an operation may take, whether this is a replay, what the hold still reserves, the soft
limits whose ceiling the excess has passed, and how much of the capture has been refunded since.

A repeat with the same key and arguments (metadata aside) returns the first answer with
`replayed = true` and changes nothing; only `refunded` is up to date.

Raises `PT410` if the hold is no longer open (the detail's `state` is 'expired', 'released' or
'captured'); `PT402` if the excess is not available (`requested`, `available`); `PT429` if it would
pass a limit; `PT404` if there is no such account or hold; `PT409` if the key was used with other
arguments or by another function; `22023` for a malformed argument. An error changes nothing. A
closed account's holds can be captured, but only up to what they hold.
$comment$;
