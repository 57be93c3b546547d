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
Erases the person and keeps the figures: metadata of the account, its grants, holds and transactions
is emptied, and every run and API key id is replaced by a pseudonym ('forgotten run 1'), the same
one in the ledger and the counters. No amount, time, period, operation or invoice
changes. The account id and the idempotency keys stay: keep personal data out of both.

No limit is switched off by it: a limit that names an id keeps it, and one that counts each keeps
the ids that have spent in its running window or hold something, and counts on. To forget these too,
remove the limit; of a closed account that holds nothing, such limits are removed by this call.

It does not close the account, and what is spent afterwards is kept as given, until it is called
again; after `close_account`, nothing new comes. Repeats of earlier calls still get their answers.

Returns the account, its balance, and what a deduction without operation may take. Raises `PT404`
if there is no such account; `22023` for a malformed argument. It reads the account's whole ledger.
$comment$;
