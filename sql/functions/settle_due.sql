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
  v_skipped text[] := '{}'::text[];
  v_settled int;
begin
  if p_max_accounts is null or p_max_accounts < 1 then
    perform credits_private.refuse_argument(null, 'p_max_accounts',
      'a number of accounts must be at least 1', 'Pass how many accounts to settle at most.');
  end if;

  -- Again, without the one that cannot be settled: the others must not wait for it.
  loop
    v_settled := 0;
    begin
      for v_account_id in
        select a.account_id
        from credits_private.accounts as a
        where a.due_at <= v_at and a.account_id <> all (v_skipped)
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
      exit;
    exception when invalid_parameter_value then -- of a zone that is gone
      raise warning 'account % was not settled: %', v_account_id, sqlerrm
        using hint = format('Give it another, as credits_owner: '
          'update credits_private.accounts set time_zone = ''UTC'' where account_id = %L;',
          v_account_id);
      v_skipped := v_skipped || v_account_id;
    end;
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
in several places at once. An account whose time zone the server no longer has is left out, with a
warning. Raises `22023` if `p_max_accounts` is null or less than 1.
$comment$;
