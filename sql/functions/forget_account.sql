create or replace function credits.forget_account(
  p_account_id text
) returns credits.account_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.forget_account_at(p_account_id collate "default", null);
end
$$;

comment on function credits.forget_account(text) is $comment$
Erases the person and keeps the figures. The metadata of the account and of its grants, holds and
transactions is emptied. Every run and API key id is replaced by a pseudonym ('forgotten run 1'),
the same one in the ledger and the counters. No amount, time, period, operation or invoice changes.
The account id and the idempotency keys stay: keep personal data out of both.

Forgetting switches no limit off. A limit that names an id keeps it. A limit that counts each id for
itself keeps the ids that have spent in its running window or hold something, and goes on counting
them. To forget these too, remove the limit; if the account is closed and holds nothing, this call
removes such limits.

The account is not closed, and what it spends afterwards is kept as given, until the next call.
After `close_account`, nothing new comes. Repeats of earlier calls still get their answers.

Returns the account, its balance, and what a deduction without an operation may take. Raises `PT404`
if there is no such account; `22023` for a malformed argument. Reads the account's whole ledger.
$comment$;
