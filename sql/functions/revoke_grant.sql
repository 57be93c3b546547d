create or replace function credits_private.revoke_grant_at(
  p_account_id text, p_grant_id bigint, p_idempotency_key text, p_amount bigint, p_on_spent text,
  p_metadata jsonb, p_at timestamptz
) returns credits.revoke_grant_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_request credits_private.request;
  v_account credits_private.account;
  v_grant record;
  v_take record;
  v_taken bigint;
  v_transaction_id bigint;
  v_result credits.revoke_grant_result;
begin
  perform credits_private.check_revocation(
    p_account_id, p_grant_id, p_idempotency_key, p_amount, p_on_spent, p_metadata);
  v_request := credits_private.begin_request(p_account_id, p_idempotency_key, 'revoke_grant',
    jsonb_build_object(
      'grant_id', p_grant_id, 'amount', p_amount, 'on_spent', nullif(p_on_spent, 'clamp')),
    p_at);
  if v_request.answer is not null then
    return jsonb_populate_record(v_result, v_request.answer);
  end if;
  v_account := v_request.account;

  v_grant := credits_private.ask_back(
    p_account_id, p_grant_id, p_amount, p_on_spent, v_request.at);
  v_take := credits_private.revocation_parts(p_account_id, v_grant.grant_id, v_grant.owed,
    p_on_spent = 'debt' and v_grant.has_arrived);
  v_taken := (select coalesce(sum(a), 0) from unnest(v_take.amounts) as a);
  if v_taken > 0 then
    v_transaction_id := v_account.last_entry_id + 1;
    v_account := credits_private.take_back(v_account, v_grant.grant_id, v_take.grant_ids,
      v_take.amounts, v_request.at, v_request.at, p_idempotency_key, p_metadata);
    v_account := credits_private.tidy(v_account, '{}', '{}', v_request.at, v_request.at);
    -- And so no balance falls below it, also when a hold's overdraft is captured: what remains of the
    -- grants is never negative.
    if v_account.debt + v_account.overdraft_held > 9007199254740991 then
      perform credits_private.refuse_argument(p_account_id, 'p_amount',
        'a debt must not exceed 9007199254740991', 'Revoke with ''clamp'', or less.');
    end if;
  else
    update credits_private.accounts as a set last_created_at = v_request.at
    where a.account_id = p_account_id;
  end if;

  v_result := (v_grant.grant_id, v_transaction_id, v_taken, v_account.balance,
    credits_private.available(p_account_id, null, v_request.at), false,
    case when v_grant.is_cancelled then 0 else v_grant.owed - v_taken end
    )::credits.revoke_grant_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint,
    v_transaction_id, v_result.available, to_jsonb(v_result)
      || jsonb_build_object('requested', p_amount, 'on_spent', p_on_spent, 'revocation_id', (
        select max(r.revocation_id)
        from credits_private.revocations as r
        where r.account_id = p_account_id and r.grant_id = v_grant.grant_id)));
  return v_result;
end
$$;

revoke all on function credits_private.revoke_grant_at(
  text, bigint, text, bigint, text, jsonb, timestamptz) from public;

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
    p_on_spent collate "default", p_metadata, null);
end
$$;

revoke all on function
  credits.revoke_grant(text, bigint, text, bigint, text, jsonb) from public;

comment on function credits.revoke_grant(text, bigint, text, bigint, text, jsonb) is $comment$
Takes a grant back, in part or whole, as after a refunded or disputed payment.

`p_amount` is in the account's smallest unit; null is all of the grant. Amounts add up, and never
beyond the grant: a refund and a dispute of one payment, each with a key of its own, take back once.
What is free of the grant is taken now. For what is spent or held, `p_on_spent` decides: 'clamp'
takes it when it comes back, by a refund, a release or the end of a hold, up to the amount asked
for, and never makes debt; 'debt' books as debt at once what was not taken, also by earlier
revocations of the grant, and what comes back later repays it, also if it is for some operations
only, or would expire; if other credit has repaid it by then, what comes back is credit as ever.
What has expired is gone, and is no debt. Credits that a refund gave back in a new grant, because
this one had expired, are reached; `p_grant_id` can be that of either. Of a scheduled grant, so much
never arrives.

Returns the grant, the transaction (null if nothing was taken), the amount that was taken or booked
as debt now, the balance, what a deduction without operation may take, whether this is a replay, and
what is still to be taken when it comes back (`outstanding`).

A repeat with the same key and arguments (metadata aside) returns the first answer with `replayed =
true` and changes nothing.

Raises `PT404` if there is no such account or grant; `PT409` if the key was used with other
arguments or by another function; `22023` for a malformed argument, or a debt beyond 2^53 - 1.
Whatever it raises, nothing was changed. A closed account's grants can be revoked.
$comment$;
