create or replace function credits.settle_account(p_account_id text)
returns credits.account_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.settle_account_at(p_account_id collate "default", null);
end
$$;

comment on function credits.settle_account(text) is $comment$
Books what is due for one account: holds and credits that have expired, scheduled grants that have
begun, and the end of its billing period.

Every call that moves credits does this for its account by itself, and views are right without it.
It keeps the books tidy: a period that has ended is closed, and what expired shows as expired. Late
or on time, it writes the same entries, effective at the moment when they were due.

Returns the account, its balance, and what a deduction without an operation may take. A repeat finds
nothing left to do. Raises `PT404` if there is no such account; `22023` for a malformed argument.
$comment$;
