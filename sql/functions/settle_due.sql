-- Account by account, each one locked only if that needs no waiting: it can run in many places at
-- once, and no caller waits for it longer than for one transaction of its own.
create or replace function credits_private.settle_due_at(p_max_accounts int, p_at timestamptz)
returns int
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account_id text;
  v_account credits_private.accounts;
  v_at timestamptz := coalesce(p_at, clock_timestamp());
  v_settled int := 0;
begin
  if p_max_accounts is null or p_max_accounts < 1 then
    perform credits_private.refuse_argument(null, 'p_max_accounts',
      'a number of accounts must be at least 1', 'Pass how many accounts to settle at most.');
  end if;

  for v_account_id in
    select a.account_id
    from credits_private.accounts as a
    where a.due_at <= v_at
    order by a.due_at
  loop
    select a.* into v_account
    from credits_private.accounts as a
    where a.account_id = v_account_id and a.due_at <= v_at
    for no key update skip locked;
    if found then
      perform credits_private.settle(v_account,
        greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at));
      v_settled := v_settled + 1;
      exit when v_settled = p_max_accounts;
    end if;
  end loop;
  return v_settled;
end
$$;

revoke all on function credits_private.settle_due_at(int, timestamptz) from public;

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

revoke all on function credits.settle_due(int) from public;

comment on function credits.settle_due(int) is $comment$
Does what `settle_account` does for up to `p_max_accounts` accounts for which something is due,
those that are due longest first, and returns how many they were.

For cron, pg_cron or a worker: call it, commit, and call it again until it returns 0. It never
waits: an account that somebody else is using is left to them, or to the next run. So it can run
in several places at once. Raises `22023` if `p_max_accounts` is null or less than 1.
$comment$;
