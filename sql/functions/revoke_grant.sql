create or replace function credits.revoke_grant(
  p_account_id text,
  p_grant_id bigint,
  p_idempotency_key text,
  p_amount bigint = null,
  p_on_spent text = 'clamp',
  p_metadata jsonb = '{}'
) returns credits.revoke_grant_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.revoke_grant_at(
    p_account_id collate "default", p_grant_id, p_idempotency_key collate "default", p_amount,
    p_on_spent collate "default", p_metadata, p_at => null);
end
$$;

comment on function credits.revoke_grant(text, bigint, text, bigint, text, jsonb) is $comment$
Takes a grant back, in part or whole, as after a refunded or disputed payment.

`p_amount` is in the account's smallest unit; null is the whole grant. The amounts of several calls
add up, but never beyond the grant: a refund and a dispute of one payment, each with its own key,
take its credits back once. What is free of the grant is taken now. `p_on_spent` decides about what
is spent or held. 'clamp' takes it when it comes back, by a refund, a release or the end of a hold,
up to the amount asked for, and never makes debt. 'debt' books as debt, at once, whatever neither
this revocation nor an earlier one of the grant has taken. What comes back later repays that debt,
even if it is for some operations only or would expire; if other credit has repaid the debt by then,
what comes back is ordinary credit. What has expired is gone, and is no debt. A revocation also
reaches the new grants that refunds made because this grant had expired; `p_grant_id` can be that of
either. A scheduled grant arrives without the amount that was revoked.

Returns the grant, the transaction (null if nothing was taken), the amount that was taken or booked
as debt now, the balance, what a deduction without an operation may take, whether this is a replay,
and what is still to be taken when it comes back (`outstanding`).

A repeat with the same key and arguments (metadata aside) returns the first answer with
`replayed = true` and changes nothing.

Raises `PT404` if there is no such account or grant; `PT409` if the key was used with other
arguments or by another function; `22023` for a malformed argument, or for a debt beyond 2^53 - 1.
An error changes nothing. A closed account's grants can be revoked.
$comment$;
