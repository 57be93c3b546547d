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
    p_metadata, p_at => null);
end
$$;

comment on function credits.refund_credits(text, bigint, text, bigint, jsonb) is $comment$
Gives back what a deduction or a capture took, in part or whole.

`p_transaction_id` is that of the deduction or capture. `p_amount` is in the account's smallest
unit; null is everything that has not been refunded yet. Credits go back to the grants that they
came from, last drawn first. If such a grant has expired, they become a new grant of source
'refund', with the same priority and scope, valid for 30 days. What was debt lowers what is still
owed; what has been repaid of it goes back to the grants that repaid it. What comes back to a
revoked grant is taken at once. A refund lowers the net usage of the original's API key and
operation in the period in which the refund is made, and the limits' windows in which the original
was spent.

Returns the refund's transaction, the amount, the balance, what a deduction without an operation may
take, whether this is a replay, and how much of the amount repaid debt at once.

A repeat with the same key and arguments (metadata aside) returns the first answer with
`replayed = true` and changes nothing. Two refunds of one original need two keys, and never give
back more than it took, whether at once or one after the other.

Raises `PT404` if there is no such account or transaction; `PT409` if the refund asks for more than
is left (`requested` and `refundable` are in the detail), if the transaction is neither a deduction
nor a capture, or if the key was used with other arguments or by another function; `22023` for a
malformed argument. An error changes nothing. What a closed account spent can be refunded.
$comment$;
