create or replace function credits.settle_due(p_max_accounts int = 100)
returns int
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.settle_due_at(p_max_accounts, null);
end
$$;

comment on function credits.settle_due(int) is $comment$
Does what `settle_account` does for up to `p_max_accounts` accounts on which something is due, those
that have been due longest first, and returns how many it settled.

For cron, pg_cron or a worker: call it, commit, and call it again until it returns 0.
`p_max_accounts` is how many accounts it may keep locked until then. It also begins no other account
once it has worked for two seconds, so a `statement_timeout` of 8 s never keeps it from going on:
the 10,000 holds and 10,000 grants that an account can have take a second or two each. It never
waits: it leaves an account that is in use to that session, or to the next run. So it can run in
several places at once. An account that cannot be settled (a time zone that the server no longer
has, a row that was changed by hand) is skipped with a warning that names it, and tried again after
a pause; `credits.discrepancies` has it under `every_account_can_be_settled`. Raises `22023` if
`p_max_accounts` is null or less than 1.
$comment$;
