create or replace function credits_private.refund_credits_at(
  p_account_id text, p_transaction_id bigint, p_idempotency_key text, p_amount bigint,
  p_metadata jsonb, p_at timestamptz
) returns credits.refund_credits_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_request credits_private.request;
  v_account credits_private.account;
  v_amount bigint;
  v_transaction_id bigint;
  v_result credits.refund_credits_result;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  if p_transaction_id is null or p_transaction_id < 1 then
    perform credits_private.refuse_argument(p_account_id, 'p_transaction_id',
      'a transaction id must be a whole number from 1',
      'Pass the transaction_id that deduct_credits or capture_hold returned.');
  end if;
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);
  perform credits_private.check_amount(p_account_id, 'p_amount', coalesce(p_amount, 1));
  perform credits_private.check_metadata(p_account_id, p_metadata);

  v_request := credits_private.begin_request(p_account_id, p_idempotency_key, 'refund_credits',
    jsonb_build_object('transaction_id', p_transaction_id, 'amount', p_amount), p_at);
  if v_request.answer is not null then
    v_result.repaid := 0;
    return jsonb_populate_record(v_result, v_request.answer);
  end if;

  v_account := v_request.account;
  v_amount := credits_private.check_refund(p_account_id, p_transaction_id, p_amount);
  perform credits_private.check_balance(v_account, v_amount);
  v_transaction_id := v_account.last_entry_id + 1;
  v_account := credits_private.write_refund(
    v_account, p_transaction_id, v_amount, p_idempotency_key, p_metadata, v_request.at);

  v_result := (v_transaction_id, v_amount, v_account.balance,
    credits_private.available(p_account_id, null, v_request.at), false,
    credits_private.repaid(p_account_id, v_transaction_id))::credits.refund_credits_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint,
    v_transaction_id, v_result.available, to_jsonb(v_result));
  return v_result;
end
$$;

revoke all on function credits_private.refund_credits_at(
  text, bigint, text, bigint, jsonb, timestamptz) from public;

create or replace function credits.refund_credits(
  p_account_id text,
  p_transaction_id bigint,
  p_idempotency_key text,
  p_amount bigint = null,
  p_metadata jsonb = '{}'
) returns credits.refund_credits_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.refund_credits_at(
    p_account_id collate "default", p_transaction_id, p_idempotency_key collate "default", p_amount,
    p_metadata, null);
end
$$;

revoke all on function
  credits.refund_credits(text, bigint, text, bigint, jsonb) from public;

comment on function credits.refund_credits(text, bigint, text, bigint, jsonb) is $comment$
Gives back what a deduction or a capture took, in part or whole.

`p_transaction_id` is the original's. `p_amount` is in the account's smallest unit; null is all
that is left of it. Credits go back to the grants that they came from, last drawn first; to one
that has expired, as a new grant of source 'refund' with its priority and scope, valid for 30
days. What was debt lowers what is still owed; what of it has been repaid goes back to the grants
that repaid it. What comes back to a grant that was revoked is taken at once. A refund lowers the
net usage of the original's API key and operation, in the period in which it is made, and gives
back to the limits' windows in which the original was spent.

Returns the refund's transaction, the amount, the balance, what a deduction without operation may
take, whether this is a replay, and how much of the amount repaid debt at once.

A repeat with the same key and arguments (metadata aside) returns the first answer with `replayed
= true` and changes nothing. Two refunds of one original need two keys, and never give back more
than it took, at once or one after the other.

Raises `PT404` if there is no such account or transaction; `PT409` if more is asked for than is
left (`requested` and `refundable` are in the detail), if the transaction is neither a deduction
nor a capture, or if the key was used with other arguments; `22023` for a malformed argument.
Whatever it raises, nothing was changed. What a closed account spent can be refunded.
$comment$;
