-- Books everything that is due by p_at, under the account's lock, and returns the account as it is
-- then. One pass over credits_private.due, in its order. Settling late writes the same entries as
-- settling on time (settling_late_changes_nothing): each entry takes effect when it was due, in the
-- period of that moment. The list is complete from the start: it has the expiry of a grant that
-- only begins during the pass. Each step that frees credit tidies up after itself.
create or replace function credits_private.settle(
  p_account credits_private.account, p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_due record;
begin
  for v_due in
    select d.at, d.kind, d.id
    from credits_private.due as d
    where d.account_id = p_account.account_id and d.at <= p_at
    order by d.at, d.step, d.id
  loop
    case v_due.kind
      when 'hold expires' then
        p_account := credits_private.resolve_hold(p_account, v_due.id, 'expired', v_due.at, p_at);
      when 'grant expires' then
        p_account := credits_private.expire_grant(p_account, v_due.id, v_due.at, p_at);
      when 'grant begins' then
        p_account := credits_private.begin_grant(p_account, v_due.id, v_due.at, p_at);
      when 'period ends' then
        null; -- advance_account begins the next one, once every entry of this one is written
    end case;
  end loop;
  return credits_private.advance_account(p_account, p_at);
end
$$;

-- Moves an account on to p_at, once everything due by then is booked: into the period of p_at, and
-- due at the first thing that is still to come.
create or replace function credits_private.advance_account(
  p_account credits_private.account, p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_due_at timestamptz;
begin
  if p_account.period_ends_at <= p_at then
    p_account := credits_private.begin_period(p_account, p_at);
  end if;

  v_due_at := credits_private.first_due(p_account.account_id, p_at);
  update credits_private.accounts as a
  set
    -- The next call comes later than this one, even if the clock is set back.
    last_created_at = greatest(a.last_created_at, p_at),
    due_at = v_due_at
  where a.account_id = p_account.account_id
  returning a.* into p_account;
  delete from credits_private.settle_failures as f where f.account_id = p_account.account_id;
  return p_account;
end
$$;

-- Begins the period of p_at. No entry can be written into an earlier period any more. due_at is
-- lowered in the same update, because a guard refuses an account that is due after its period ends.
create or replace function credits_private.begin_period(
  p_account credits_private.account, p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_period date := credits_private.period_at(p_at, p_account.period, p_account.next_period,
    p_account.period_ends_at, p_account.time_zone, p_account.anchor_day);
  v_next_period date := credits_private.next_anchor(v_period, p_account.anchor_day);
  v_ends_at timestamptz := credits_private.midnight(v_next_period, p_account.time_zone);
begin
  update credits_private.accounts as a
  set
    last_created_at = greatest(a.last_created_at, p_at),
    period = v_period,
    next_period = v_next_period,
    period_ends_at = v_ends_at,
    due_at = least(a.due_at, v_ends_at)
  where a.account_id = p_account.account_id
  returning a.* into p_account;
  perform credits_private.keep_odd_period(p_account);
  return p_account;
end
$$;

-- Removes the settings that the previous period was cut by. Those of the new period are on the
-- account's row, unless it begins on no anchor day because the day was changed during the previous
-- one: then they are kept in a row of their own.
create or replace function credits_private.keep_odd_period(p_account credits_private.account)
returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  delete from credits_private.period_settings as s where s.account_id = p_account.account_id;
  if p_account.period
    <> credits_private.anchor_in_month(p_account.period, p_account.anchor_day)
  then
    insert into credits_private.period_settings (account_id, period, time_zone, anchor_day)
    values (p_account.account_id, p_account.period, p_account.time_zone, p_account.anchor_day);
  end if;
end
$$;

-- When a grant expires, it loses whatever no hold has reserved (possibly nothing).
create or replace function credits_private.expire_grant(
  p_account credits_private.account, p_grant_id bigint, p_effective_at timestamptz,
  p_created_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_free bigint;
  v_entry credits_private.entry;
begin
  select g.remaining - g.held into v_free
  from credits_private.remainders as g
  where g.account_id = p_account.account_id and g.grant_id = p_grant_id;
  if v_free = 0 then
    return p_account;
  end if;
  v_entry.kind := 'expiry';
  v_entry.effective_at := p_effective_at;
  v_entry.created_at := p_created_at;
  return credits_private.write_entries(p_account, v_entry, array[p_grant_id], array[v_free],
    p_sign => -1);
end
$$;

-- When a scheduled grant begins, its entry fills it.
create or replace function credits_private.begin_grant(
  p_account credits_private.account, p_grant_id bigint, p_effective_at timestamptz,
  p_created_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_amount bigint;
  v_entry credits_private.entry;
begin
  select g.amount into v_amount
  from credits_private.grants as g
  where g.account_id = p_account.account_id and g.grant_id = p_grant_id;
  v_entry.kind := 'grant';
  v_entry.effective_at := p_effective_at;
  v_entry.created_at := p_created_at;
  p_account := credits_private.write_entries(
    p_account, v_entry, array[p_grant_id], array[v_amount]);
  update credits_private.grants as g
  set is_scheduled = false
  where g.account_id = p_account.account_id and g.grant_id = p_grant_id;
  return credits_private.tidy(
    p_account, array[p_grant_id], array[v_amount], p_effective_at, p_created_at);
end
$$;
