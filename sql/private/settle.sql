-- Books what became due by p_at, under the account's lock, and returns the account as it is then.
-- One pass, however much is due. Settling late writes the same entries as settling on time
-- (settling_late_changes_nothing): each takes effect when it was due, in the period of that moment,
-- in the order of those moments. An expiry is a transaction of its own.
create or replace function credits_private.settle(
  p_account credits_private.accounts, p_at timestamptz
) returns credits_private.accounts
language plpgsql
set search_path = ''
as $$
declare
  v_period date := credits_private.period_at(p_at, p_account.period, p_account.next_period,
    p_account.period_ends_at, p_account.time_zone, p_account.anchor_day);
begin
  insert into credits_private.entries (
    account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount, balance_after,
    period, effective_at, created_at
  )
  select
    p_account.account_id, p_account.last_entry_id + e.n, p_account.last_entry_id + e.n, 1,
    'expiry', e.grant_id, -e.remaining, p_account.balance - e.remaining_so_far,
    credits_private.period_at(e.expires_at, p_account.period, p_account.next_period,
      p_account.period_ends_at, p_account.time_zone, p_account.anchor_day),
    e.expires_at, p_at
  from (
    select
      g.grant_id, g.remaining, g.expires_at,
      row_number() over by_moment as n,
      sum(g.remaining) over by_moment as remaining_so_far
    from credits_private.grants as g
    where g.account_id = p_account.account_id and g.is_open and g.expires_at <= p_at
    window by_moment as (order by g.expires_at, g.grant_id)
  ) as e
  order by e.n;

  -- A period that has ended is closed from here on: no entry can be written into it any more.
  if v_period > p_account.period then
    p_account.period := v_period;
    p_account.next_period := credits_private.next_anchor(v_period, p_account.anchor_day);
    p_account.period_ends_at :=
      credits_private.midnight(p_account.next_period, p_account.time_zone);
  end if;

  update credits_private.accounts as a
  set
    -- Whoever comes after this comes later, also if the clock is set back.
    last_created_at = greatest(a.last_created_at, p_at),
    period = p_account.period,
    next_period = p_account.next_period,
    period_ends_at = p_account.period_ends_at,
    due_at = least(p_account.period_ends_at, (
      select min(g.expires_at)
      from credits_private.grants as g
      where g.account_id = p_account.account_id and g.is_open
    ))
  where a.account_id = p_account.account_id
  returning a.* into p_account;
  return p_account;
end
$$;

revoke all on function credits_private.settle(credits_private.accounts, timestamptz) from public;
