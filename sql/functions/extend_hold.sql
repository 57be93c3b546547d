create or replace function credits.extend_hold(
  p_account_id text,
  p_hold_id bigint,
  p_expires_in interval
) returns credits.extend_hold_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.extend_hold_at(
    p_account_id collate "default", p_hold_id, p_expires_in, p_at => null);
end
$$;

comment on function credits.extend_hold(text, bigint, interval) is $comment$
Lets an open hold last until `p_expires_in` from now: more than nothing, and at most ten years. A
long run calls it now and then. It never shortens a hold: one that lasts longer already stays as it
is.

Returns the hold, what it still reserves, the balance, what a deduction without an operation may
take, and when the hold expires. A repeat counts from the moment of the repeat.

Raises `PT410` if the hold is no longer open (the detail's `state` is 'expired', 'released' or
'captured'); `PT404` if there is no such account or hold; `PT423` if the account is closed; `22023`
for a malformed argument. An error changes nothing.
$comment$;
