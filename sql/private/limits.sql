-- Limits: which of them a call falls under, what they leave, and what the ledger shows as spent.

-- Which counter of a limit a call falls under: that of an API key, an operation or a run; '' for
-- the account, and for calls that name none under a limit that counts each; null for none, if the
-- limit names another one. A forgotten id counts as what it was, as long as the limit knows it.
create or replace function credits_private.limit_scope_id(
  p_scope text, p_scope_id text, p_pseudonyms jsonb, p_api_key_id text, p_operation text,
  p_run_id text
) returns text
language plpgsql immutable
set search_path = pg_temp
as $$
declare
  v_scope_id text := coalesce(case p_scope
    when 'account' then null
    when 'api_key' then p_api_key_id
    when 'operation' then p_operation
    else p_run_id
  end, '');
begin
  if p_pseudonyms is not null then
    v_scope_id := coalesce(p_pseudonyms ->> v_scope_id, v_scope_id);
  end if;
  if p_scope_id <> v_scope_id then
    return null;
  end if;
  return v_scope_id;
end
$$;

-- The window that contains a moment. A day is one in the account's time zone. In plpgsql, because
-- Postgres before 18 plans an SQL function anew at each call.
create or replace function credits_private.limit_window_start(
  p_limit_window text, p_period date, p_effective_at timestamptz, p_time_zone text
) returns timestamp
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return case p_limit_window
    when 'day' then date_trunc('day', p_effective_at at time zone p_time_zone)
    when 'period' then p_period
    else '-infinity'
  end;
end
$$;

-- When the next window begins; null for a total, which has no next one.
create or replace function credits_private.next_window_at(
  p_account credits_private.account, p_limit_window text, p_at timestamptz
) returns timestamptz
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return case p_limit_window
    when 'day' then credits_private.midnight(
      (p_at at time zone p_account.time_zone)::date + 1, p_account.time_zone)
    when 'period' then p_account.period_ends_at
  end;
end
$$;

-- What open holds have reserved of a limit, in whichever window they began. After settling, no open
-- hold has expired.
create or replace function credits_private.limit_reserved(
  p_limit credits_private.spending_limit, p_scope_id text, p_except_hold_id bigint
) returns bigint
language sql stable
set search_path = pg_temp
as $$
  select coalesce(sum(h.held), 0)::bigint
  from credits_private.holds as h
  where h.account_id = p_limit.account_id and h.state = 'open'
    and h.hold_id is distinct from p_except_hold_id
    and credits_private.limit_scope_id(p_limit.scope, p_limit.scope_id, p_limit.pseudonyms,
      h.api_key_id, h.operation, h.run_id) = p_scope_id
$$;

-- Whether p_amount passes a limit of the account. Call it under the account's lock, after settling:
-- of many calls at once, each sees what those before it spent and reserved, even if a window has no
-- counter yet (limits_are_never_passed). The refusal names the limit that leaves least. Without a
-- refusal, returns the soft limits whose ceiling the call passes. A hold that is being captured
-- does not count twice.
create or replace function credits_private.examine_limits(
  p_account credits_private.account, p_amount bigint, p_api_key_id text, p_operation text,
  p_run_id text, p_at timestamptz, p_except_hold_id bigint = null
) returns credits_private.limit_check
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_limit credits_private.spending_limit;
  v_scope_id text;
  v_spent bigint;
  v_reserved bigint;
  v_left bigint;
  v_least bigint;
  v_check credits_private.limit_check;
begin
  for v_limit in
    select l.* from credits_private.limits as l
    where l.account_id = p_account.account_id
    order by l.limit_id collate "C"
  loop
    v_scope_id := credits_private.limit_scope_id(v_limit.scope, v_limit.scope_id,
      v_limit.pseudonyms, p_api_key_id, p_operation, p_run_id);
    continue when v_scope_id is null;
    v_spent := coalesce((
      select c.spent
      from credits_private.limit_counters as c
      where c.account_id = v_limit.account_id and c.limit_id = v_limit.limit_id
        and c.scope_id = v_scope_id
        and c.window_start = credits_private.limit_window_start(
          v_limit.limit_window, p_account.period, p_at, p_account.time_zone)), 0);
    v_reserved := credits_private.limit_reserved(v_limit, v_scope_id, p_except_hold_id);
    v_left := greatest(0, v_limit.ceiling + v_limit.overage - v_spent - v_reserved);
    if v_left < least(p_amount, coalesce(v_least, p_amount)) then
      v_least := v_left;
      v_check.refusal := credits_private.limit_refusal(
        v_limit, v_scope_id, p_amount, v_spent, v_reserved, v_left,
        credits_private.next_window_at(p_account, v_limit.limit_window, p_at));
    elsif v_spent + v_reserved + p_amount > v_limit.ceiling then
      v_check.exceeded_limits := v_check.exceeded_limits || v_limit.limit_id;
    end if;
  end loop;
  return v_check;
end
$$;

create or replace function credits_private.limit_refusal(
  p_limit credits_private.spending_limit, p_scope_id text, p_amount bigint, p_spent bigint,
  p_reserved bigint, p_remaining bigint, p_retry_at timestamptz
) returns credits_private.refusal
language sql immutable
set search_path = pg_temp
as $$
  select (
    'PT429', 'limit would be passed',
    jsonb_build_object('account_id', p_limit.account_id, 'limit_id', p_limit.limit_id,
      'scope', p_limit.scope, 'scope_id', nullif(p_scope_id, ''),
      'window', p_limit.limit_window, 'ceiling', p_limit.ceiling, 'overage', p_limit.overage,
      'spent', p_spent, 'reserved', p_reserved, 'remaining', p_remaining,
      'requested', p_amount,
      'retry_at', to_jsonb(p_retry_at at time zone 'UTC') #>> '{}' || 'Z'),
    'Ask for no more than remains, wait for the next window, or raise the limit.',
    'limits_are_never_passed'
  )::credits_private.refusal
$$;

-- Deletes a limit together with its counters: a guard refuses to delete a counter alone.
create or replace function credits_private.delete_limit(p_account_id text, p_limit_id text)
returns credits_private.spending_limit
language plpgsql
set search_path = pg_temp
as $$
declare
  v_limit credits_private.spending_limit;
begin
  with counters as (
    delete from credits_private.limit_counters as c
    where c.account_id = p_account_id and c.limit_id = p_limit_id
  )
  delete from credits_private.limits as l
  where l.account_id = p_account_id and l.limit_id = p_limit_id
  returning l.* into v_limit;
  return v_limit;
end
$$;

-- Adds a limit, in place of one that counted something else. It counts from the running window, and
-- starts with what the ledger already shows of that window.
create or replace function credits_private.insert_limit(
  p_account credits_private.account, p_limit credits_private.spending_limit, p_at timestamptz
) returns credits_private.spending_limit
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.delete_limit(p_account.account_id, p_limit.limit_id);
  p_limit.account_id := p_account.account_id;
  p_limit.set_entry_id := p_account.last_entry_id;
  p_limit.counts_from := credits_private.limit_window_start(
    p_limit.limit_window, p_account.period, p_at, p_account.time_zone);
  insert into credits_private.limits values (p_limit.*);
  perform credits_private.count_limit(p_account, p_limit);
  return p_limit;
end
$$;

-- Counts what the ledger shows of a limit's first window, reading back from the last entry to the
-- first one of the window.
create or replace function credits_private.count_limit(
  p_account credits_private.account, p_limit credits_private.spending_limit
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_before bigint := 0;
  v_scope_ids text[];
  v_spent bigint[];
  v_last_entry_ids bigint[];
begin
  if p_limit.limit_window <> 'total' then
    select e.entry_id into v_before
    from credits_private.entries as e
    where e.account_id = p_limit.account_id
      and credits_private.limit_window_start(
        p_limit.limit_window, e.period, e.effective_at, p_account.time_zone) < p_limit.counts_from
    order by e.entry_id desc
    limit 1;
  end if;

  select array_agg(u.scope_id), array_agg(u.spent), array_agg(u.last_entry_id)
  into v_scope_ids, v_spent, v_last_entry_ids
  from (
    select s.scope_id, -sum(e.amount) as spent, max(e.entry_id) as last_entry_id
    from credits_private.entries as e
    cross join lateral credits_private.limit_scope_id(p_limit.scope, p_limit.scope_id,
      p_limit.pseudonyms, e.api_key_id, e.operation, e.run_id) as s (scope_id)
    where e.account_id = p_limit.account_id and e.entry_id > coalesce(v_before, 0)
      and (e.kind in ('deduction', 'capture') or e.refunded_entry_id > coalesce(v_before, 0))
      and s.scope_id is not null
    group by s.scope_id
  ) as u;

  -- In two steps: counters start at zero, and then change with the entries that they name.
  insert into credits_private.limit_counters (account_id, limit_id, window_start, scope_id)
  select p_limit.account_id, p_limit.limit_id, p_limit.counts_from, unnest(v_scope_ids);
  update credits_private.limit_counters as c
  set spent = u.spent, last_entry_id = u.last_entry_id
  from unnest(v_scope_ids, v_spent, v_last_entry_ids) as u (scope_id, spent, last_entry_id)
  where c.account_id = p_limit.account_id and c.limit_id = p_limit.limit_id
    and c.scope_id = u.scope_id;
end
$$;

-- Counts daily limits anew, by the days of a new time zone. What was spent before does not break a
-- limit on the new days.
create or replace function credits_private.count_days(p_account credits_private.account)
returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_limit credits_private.spending_limit;
begin
  -- No later call falls into a day that has just been left uncounted, even if the clock is set
  -- back.
  update credits_private.accounts as a
  set last_created_at = p_account.last_created_at
  where a.account_id = p_account.account_id;
  for v_limit in
    select l.*
    from credits_private.limits as l
    where l.account_id = p_account.account_id and l.limit_window = 'day'
  loop
    perform credits_private.insert_limit(p_account, v_limit, p_account.last_created_at);
  end loop;
end
$$;

create or replace function credits_private.check_limit(
  p_account_id text, p_limit_id text, p_ceiling bigint, p_scope text, p_scope_id text,
  p_window text, p_overage bigint
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_id(p_account_id, 'p_limit_id', p_limit_id);
  perform credits_private.check_ceiling(p_account_id, 'p_ceiling', p_ceiling);
  perform credits_private.check_ceiling(p_account_id, 'p_overage', p_overage);
  perform credits_private.check_ceiling(p_account_id, 'p_overage', p_ceiling + p_overage);
  perform credits_private.check_id(p_account_id, 'p_scope_id', p_scope_id, p_optional => true);
  if p_scope is null or p_scope not in ('account', 'api_key', 'operation', 'run') then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_scope', 'no such scope',
      'A scope is account, api_key, operation or run.');
  elsif p_scope = 'account' and p_scope_id is not null then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_scope_id',
      'the scope account has no scope id', 'Leave p_scope_id out, or pass another p_scope.');
  elsif p_window is null or p_window not in ('day', 'period', 'total') then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_window', 'no such window',
      'A window is day, period or total.');
  end if;
end
$$;

create or replace function credits_private.remove_limit_at(
  p_account_id text, p_limit_id text, p_at timestamptz
) returns credits.limit_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
  v_limit credits_private.spending_limit;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_id(p_account_id, 'p_limit_id', p_limit_id);
  v_account := credits_private.enter(p_account_id, p_at);
  perform credits_private.check_is_open(v_account);

  v_limit := credits_private.delete_limit(p_account_id, p_limit_id);
  update credits_private.accounts as a
  set has_limits = exists (
    select from credits_private.limits as l where l.account_id = p_account_id)
  where a.account_id = p_account_id;
  return credits_private.limit_answer(v_limit);
end
$$;

create or replace function credits_private.set_limit_at(
  p_account_id text, p_limit_id text, p_ceiling bigint, p_scope text, p_scope_id text,
  p_window text, p_overage bigint, p_at timestamptz
) returns credits.limit_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
  v_old credits_private.spending_limit;
  v_limit credits_private.spending_limit;
begin
  perform credits_private.check_limit(
    p_account_id, p_limit_id, p_ceiling, p_scope, p_scope_id, p_window, p_overage);
  v_account := credits_private.enter(p_account_id, p_at);
  perform credits_private.check_is_open(v_account);

  select l.* into v_old
  from credits_private.limits as l
  where l.account_id = p_account_id and l.limit_id = p_limit_id;
  if not found and 100 <= (
    select count(*) from credits_private.limits as l where l.account_id = p_account_id)
  then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_limit_id',
      'an account has at most 100 limits',
      'Leave p_scope_id out: one limit then counts each API key, operation or run for itself.');
  elsif (v_old.ceiling, v_old.overage, v_old.scope, v_old.scope_id, v_old.limit_window)
    is not distinct from (p_ceiling, p_overage, p_scope, p_scope_id, p_window)
  then
    return credits_private.limit_answer(v_old);
  end if;

  if (v_old.scope, v_old.scope_id, v_old.limit_window)
    is distinct from (p_scope, p_scope_id, p_window)
  then
    v_limit.limit_id := p_limit_id;
    v_limit.ceiling := p_ceiling;
    v_limit.overage := p_overage;
    v_limit.scope := p_scope;
    v_limit.scope_id := p_scope_id;
    v_limit.limit_window := p_window;
    v_limit := credits_private.insert_limit(v_account, v_limit, v_account.last_created_at);
  else
    update credits_private.limits as l
    set ceiling = p_ceiling, overage = p_overage, set_entry_id = v_account.last_entry_id
    where l.account_id = p_account_id and l.limit_id = p_limit_id
    returning l.* into v_limit;
  end if;
  -- No call comes before the moment whose windows were counted, even if the clock is set back.
  update credits_private.accounts as a
  set has_limits = true, last_created_at = v_account.last_created_at
  where a.account_id = p_account_id;
  return credits_private.limit_answer(v_limit);
end
$$;

create or replace function credits_private.limit_answer(p_limit credits_private.spending_limit)
returns credits.limit_result
language sql immutable
set search_path = pg_temp
as $$
  select (p_limit.limit_id, p_limit.scope, p_limit.scope_id, p_limit.limit_window,
    p_limit.ceiling, p_limit.overage)::credits.limit_result
$$;
