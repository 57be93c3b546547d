-- Settling many accounts.

-- Settles account by account, and skips an account whose lock it would have to wait for. So it can
-- run in many places at once, and no caller waits for it longer than for one of its own
-- transactions.
--
-- After two seconds it begins no other account, so it ends within any statement timeout that is
-- long enough for that and the largest account, and keeps what it has settled. Without that, the
-- same accounts would come first in every run, and time out each time. While it has settled none,
-- it goes on, because 0 tells the caller that nothing is left.
create or replace function credits_private.settle_due_at(p_max_accounts int, p_at timestamptz)
returns int
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account_id text;
  v_account credits_private.account;
  v_at timestamptz := coalesce(p_at, clock_timestamp());
  v_until timestamptz := clock_timestamp() + interval '2 seconds';
  v_settled int := 0;
begin
  if p_max_accounts is null or p_max_accounts < 1 then
    perform credits_private.raise_invalid_argument(null, 'p_max_accounts',
      'a number of accounts must be at least 1', 'Pass the most accounts to settle.');
  end if;

  for v_account_id in
    select a.account_id
    from credits_private.accounts as a
    where a.due_at <= v_at and not exists (
      select from credits_private.settle_failures as f
      where f.account_id = a.account_id and f.retry_at > v_at)
    order by a.due_at
  loop
    -- A subtransaction per account: one that cannot be settled must not stop the others.
    begin
      select a.* into v_account
      from credits_private.accounts as a
      where a.account_id = v_account_id and a.due_at <= v_at
      for no key update skip locked;
      if found then
        perform credits_private.settle(v_account,
          greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at));
        v_settled := v_settled + 1;
      end if;
    exception
      when serialization_failure or deadlock_detected then
        raise; -- of the whole call, which is repeated
      when others then
        perform credits_private.put_off(v_account_id, v_at, sqlstate, sqlerrm);
    end;
    exit when v_settled = p_max_accounts or v_settled > 0 and clock_timestamp() >= v_until;
  end loop;
  return v_settled;
end
$$;

-- Notes that an account could not be settled, and warns of it. It is tried again after a pause that
-- doubles, up to a day, so that it does not come first in every run (every_account_can_be_settled).
create or replace function credits_private.put_off(
  p_account_id text, p_at timestamptz, p_error_code text, p_error_message text
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.settle_failures as f (
    account_id, failed_at, retry_at, failures, error_code, error_message
  ) values (
    p_account_id, p_at, p_at + interval '1 minute', 1, p_error_code, left(p_error_message, 1000)
  )
  on conflict (account_id) do update
  set failed_at = p_at, failures = f.failures + 1, error_code = excluded.error_code,
    error_message = excluded.error_message,
    retry_at = p_at + least(interval '24 hours', interval '1 minute' * (2 ^ least(f.failures, 11)));

  raise warning 'account % was not settled: %', p_account_id, p_error_message
    using detail = jsonb_build_object('account_id', p_account_id)::text, hint = case when exists (
      select from credits_private.accounts as a
      where a.account_id = p_account_id and not credits_private.is_time_zone(a.time_zone))
    then format('Give it another time zone, as credits_owner: '
      'update credits_private.accounts set time_zone = ''UTC'' where account_id = %L;',
      p_account_id)
    else 'It is tried again after a pause. For more, read credits.discrepancies of this account.'
    end;
end
$$;
