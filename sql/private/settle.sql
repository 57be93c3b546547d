-- Books everything that is due by p_at, under the account's lock, and returns the account as it is
-- then. Settling late writes the same entries as settling on time (settling_late_changes_nothing):
-- each takes effect when it was due, in the period of that moment.
--
-- A few things are booked one by one, which costs a quarter of what settle_at_once costs for one
-- thing. That they come to the same is tested (test/functions/accounts/settling-at-once.test.ts).
create or replace function credits_private.settle(
  p_account credits_private.account, p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_due record;
begin
  select coalesce(array_agg(d.at order by d.at, d.step, d.id), '{}') as ats,
    array_agg(d.kind order by d.at, d.step, d.id) as kinds,
    array_agg(d.id order by d.at, d.step, d.id) as ids
  into v_due
  from credits_private.due as d
  where d.account_id = p_account.account_id and d.at <= p_at and d.kind <> 'period ends';

  if cardinality(v_due.ats) > 8 then
    p_account := credits_private.settle_at_once(p_account, p_at);
  else
    for v_n in 1 .. cardinality(v_due.ats) loop
      case v_due.kinds[v_n]
        when 'hold expires' then
          p_account := credits_private.resolve_hold(
            p_account, v_due.ids[v_n], 'expired', v_due.ats[v_n], p_at);
        when 'grant expires' then
          p_account := credits_private.expire_grant(
            p_account, v_due.ids[v_n], v_due.ats[v_n], p_at);
        when 'grant begins' then
          p_account := credits_private.begin_grant(
            p_account, v_due.ids[v_n], v_due.ats[v_n], p_at);
      end case;
    end loop;
  end if;
  -- It begins the next period, if this one has ended and every entry of it is written.
  return credits_private.advance_account(p_account, p_at);
end
$$;

-- Books it all in a few statements, however much it is, and so in time in proportion: effects.sql
-- has worked it out.
create or replace function credits_private.settle_at_once(
  p_account credits_private.account, p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_effects credits_private.due_effect[] := array(
    select e from credits_private.due_effects(p_account.account_id, p_at, p_account.debt) as e);
  v_ids bigint[] := array(
    select distinct e.id from unnest(v_effects) as e where e.kind = 'hold expires');
begin
  p_account := credits_private.put_down_head(p_account);
  if v_ids <> '{}' then
    perform credits_private.write_due_parts(p_account, v_effects, p_at);
    update credits_private.holds as h
    set state = 'expired', resolved_at = h.expires_at
    where h.account_id = p_account.account_id and h.hold_id = any (v_ids);
  end if;
  perform credits_private.write_due_entries(p_account, v_effects, p_at);
  v_ids := array(select e.id from unnest(v_effects) as e where e.begun > 0);
  if v_ids <> '{}' then
    update credits_private.grants as g
    set is_scheduled = false
    where g.account_id = p_account.account_id and g.grant_id = any (v_ids);
  end if;
  return p_account;
end
$$;

-- Writes what holds return as they expire: one statement, whose first part applies them all, or a
-- part that applies itself.
create or replace function credits_private.write_due_parts(
  p_account credits_private.account, p_effects credits_private.due_effect[], p_at timestamptz
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.hold_parts (
    account_id, part_id, hold_id, grant_id, amount, effective_at, created_at, statement_parts
  )
  select p_account.account_id, p_account.last_part_id + p.nth, p.id, p.grant_id, -p.returned, p.at,
    p_at, case when p.parts > 1 then case when p.nth = 1 then p.parts else 0 end end
  from (
    select e.*, row_number() over (order by e.n) as nth, count(*) over () as parts
    from unnest(p_effects) as e
    where e.returned > 0
  ) as p
  order by p.nth;
end
$$;

-- Writes the entries of what is due, likewise. Each effect can be seven of them: in this order, as
-- tidy writes them. What begins a transaction says so: all repayments after one thing are one, and
-- so are the two entries by which credit replaces debt.
create or replace function credits_private.write_due_entries(
  p_account credits_private.account, p_effects credits_private.due_effect[], p_at timestamptz
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.entries (
    account_id, entry_id, transaction_id, entry_count, kind, grant_id, revoked_grant_id, amount,
    balance_after, period, effective_at, created_at, statement_entries
  )
  select p_account.account_id, p_account.last_entry_id + e.nth,
    p_account.last_entry_id + e.first_nth, count(*) over (partition by e.first_nth), e.kind,
    e.grant_id, e.revoked_grant_id, e.amount, p_account.balance + e.upto,
    case when e.at < p_account.period_ends_at then p_account.period
      else credits_private.period_at(e.at, p_account.period, p_account.next_period,
        p_account.period_ends_at, p_account.time_zone, p_account.anchor_day) end,
    e.at, p_at, case when e.entries > 1 then case when e.nth = 1 then e.entries else 0 end end
  from (
    select l.*, max(l.nth) filter (where l.begins) over (order by l.nth) as first_nth,
      sum(l.amount) over (order by l.nth) as upto, count(*) over () as entries
    from (
      select e.at, l.*, row_number() over (order by e.n, l.place) as nth
      from (
        select e.*, lag(e.repaid, 1, 0::bigint) over (order by e.n) = 0 as repays_first
        from unnest(p_effects) as e
      ) as e
      cross join lateral (values
        (1, 'grant', e.begun, true, e.grant_id, null),
        (2, 'revocation', -e.taken, true, e.grant_id, e.origin_grant_id),
        (3, 'revocation', e.replaced, true, null, e.origin_grant_id),
        (4, 'revocation', -e.replaced, false, e.grant_id, e.origin_grant_id),
        (5, 'expiry', -e.expired, true, e.grant_id, null),
        (6, 'repay', -e.repaid, e.repays_first, e.grant_id, null),
        (7, 'repay', e.repaid, false, null, null)
      ) as l (place, kind, amount, begins, grant_id, revoked_grant_id)
      where l.amount <> 0
    ) as l
  ) as e
  order by e.nth;
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
