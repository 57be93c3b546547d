create or replace function credits_private.release_hold_at(
  p_account_id text, p_hold_id bigint, p_idempotency_key text, p_at timestamptz
) returns credits.release_hold_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_request credits_private.request;
  v_account credits_private.account;
  v_hold credits_private.hold;
  v_result credits.release_hold_result;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_hold_id(p_account_id, p_hold_id);
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);

  v_request := credits_private.begin_request(p_account_id, p_idempotency_key, 'release_hold',
    jsonb_build_object('hold_id', p_hold_id), p_at);
  if v_request.answer is not null then
    return jsonb_populate_record(v_result, v_request.answer);
  end if;

  v_hold := credits_private.open_hold(p_account_id, p_hold_id);
  v_account := credits_private.resolve_hold(
    v_request.account, p_hold_id, 'released', v_request.at, v_request.at);

  v_result := (p_hold_id, v_hold.held, v_account.balance,
    credits_private.available(p_account_id, null, v_request.at), false)::credits.release_hold_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint, null,
    v_result.available, to_jsonb(v_result));
  return v_result;
end
$$;

revoke all on function
  credits_private.release_hold_at(text, bigint, text, timestamptz) from public;

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
    p_account_id collate "default", p_hold_id, p_idempotency_key collate "default", null);
end
$$;

revoke all on function credits.release_hold(text, bigint, text) from public;

comment on function credits.release_hold(text, bigint, text) is $comment$
Ends a hold without taking anything more: what is left of it returns to the grants that it was
reserved from, and is available again. What has expired of them meanwhile expires now.

Returns the hold, the amount that was released, the balance, what a deduction without operation
may take, and whether this is a replay.

A repeat with the same key and arguments returns the first answer with `replayed = true` and
changes nothing.

Raises `PT410` if the hold is not open any more: the detail's `state` is 'expired', 'released' or
'captured'; `PT404` if there is no such account or hold; `PT409` if the key was used with other
arguments or by another function; `22023` for a malformed argument. Whatever it raises, nothing was
changed. A closed account's holds can be released.
$comment$;
