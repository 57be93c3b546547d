create or replace function credits.release_hold(
  p_account_id text,
  p_hold_id bigint,
  p_idempotency_key text
) returns credits.release_hold_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.release_hold_at(
    p_account_id collate "default", p_hold_id, p_idempotency_key collate "default", p_at => null);
end
$$;

comment on function credits.release_hold(text, bigint, text) is $comment$
Ends a hold without taking anything more: what is left of it returns to the grants that it was
reserved from, and is available again. Credits of a grant that has expired meanwhile expire now.

Returns the hold, the amount that was released, the balance, what a deduction without an operation
may take, and whether this is a replay.

A repeat with the same key and arguments returns the first answer with `replayed = true` and changes
nothing.

Raises `PT410` if the hold is no longer open (the detail's `state` is 'expired', 'released' or
'captured'); `PT404` if there is no such account or hold; `PT409` if the key was used with other
arguments or by another function; `22023` for a malformed argument. An error changes nothing. A
closed account's holds can be released.
$comment$;
