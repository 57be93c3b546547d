create or replace function credits_private.refund_credits_at(
  p_account_id text, p_transaction_id bigint, p_idempotency_key text, p_amount bigint,
  p_metadata jsonb, p_at timestamptz
) returns credits.refund_credits_result
language plpgsql
set search_path = ''
as $$
declare
  v_account credits_private.accounts;
  v_answer credits_private.answer;
  v_fingerprint bytea;
  v_at timestamptz;
  v_amount bigint;
  v_available bigint;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  if p_transaction_id is null or p_transaction_id < 1 then
    perform credits_private.refuse_argument(p_account_id, 'p_transaction_id',
      'a transaction id must be a whole number from 1',
      'Pass the transaction_id that deduct_credits returned.');
  end if;
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);
  perform credits_private.check_amount(p_account_id, 'p_amount', coalesce(p_amount, 1));
  perform credits_private.check_metadata(p_account_id, p_metadata);
  v_fingerprint := credits_private.fingerprint('refund_credits',
    jsonb_build_object('transaction_id', p_transaction_id, 'amount', p_amount));

  v_account := credits_private.lock_account(p_account_id);

  v_answer := credits_private.find_answer(p_account_id, p_idempotency_key, v_fingerprint);
  if v_answer.transaction_id is not null then
    return (v_answer.transaction_id, v_answer.amount, v_answer.balance, v_answer.available,
      true)::credits.refund_credits_result;
  end if;

  v_at := greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at);
  if v_account.due_at <= v_at then
    v_account := credits_private.settle(v_account, v_at);
  end if;

  v_amount := credits_private.check_refund(p_account_id, p_transaction_id, p_amount);
  perform credits_private.check_balance(v_account, v_amount);
  perform credits_private.write_refund(
    v_account, p_transaction_id, v_amount, p_idempotency_key, p_metadata, v_at);

  v_available := credits_private.available(p_account_id, null, v_at);
  perform credits_private.keep_answer(p_account_id, p_idempotency_key, v_fingerprint,
    v_account.last_entry_id + 1, v_available);
  return (v_account.last_entry_id + 1, v_amount, v_account.balance + v_amount, v_available,
    false)::credits.refund_credits_result;
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
set search_path = ''
as $$
begin
  return credits_private.refund_credits_at(
    p_account_id, p_transaction_id, p_idempotency_key, p_amount, p_metadata, null);
end
$$;

revoke all on function
  credits.refund_credits(text, bigint, text, bigint, jsonb) from public;

comment on function credits.refund_credits(text, bigint, text, bigint, jsonb) is $comment$
Gives back what a deduction took, in part or whole.

`p_transaction_id` is the deduction's. `p_amount` is in the account's smallest unit; null is all
that is left of it. Credits go back to the grants that they came from, last drawn first; to one
that has expired, as a new grant of source 'refund' with its priority and scope, valid for 30
days. A refund lowers the net usage of the deduction's API key and operation, in the period in
which it is made.

Returns the refund's transaction, the amount, the balance, what a deduction without operation may
take, and whether this is a replay.

A repeat with the same key and arguments (metadata aside) returns the first answer with `replayed
= true` and changes nothing. Two refunds of one deduction need two keys, and never give back more
than it took, at once or one after the other.

Raises `PT404` if there is no such account or transaction; `PT409` if more is asked for than is
left (`requested` and `refundable` are in the detail), if the transaction is no deduction, or if
the key was used with other arguments; `22023` for a malformed argument. Whatever it raises,
nothing was changed.
$comment$;
