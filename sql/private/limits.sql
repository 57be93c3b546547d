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

-- The window that contains a moment, as the local time at which it begins: a day, a week from its
-- Monday, or the period. An hour is one of those that pass, and not the name that a clock gives it:
-- when clocks go back there are two of that name, and where the offset is no whole number of hours,
-- hours begin within those of UTC. So an hour is the UTC time at which it began: the moment, less
-- what has passed of the local hour. No window runs back. In plpgsql, because Postgres before 18
-- plans an SQL function anew at each call.
create or replace function credits_private.limit_window_start(
  p_limit_window text, p_period date, p_effective_at timestamptz, p_time_zone text
) returns timestamp
language plpgsql immutable
set search_path = pg_temp
as $$
declare
  v_local timestamp;
begin
  if p_limit_window = 'period' then
    return p_period::timestamp;
  elsif p_limit_window not in ('hour', 'day', 'week') then
    return '-infinity'::timestamp;
  end if;
  v_local := p_effective_at at time zone p_time_zone;
  if p_limit_window = 'hour' then
    return p_effective_at at time zone 'UTC' - (v_local - date_trunc('hour', v_local));
  end if;
  return date_trunc(p_limit_window, v_local);
end
$$;

-- When a window begins; null for a total.
create or replace function credits_private.limit_window_at(
  p_limit_window text, p_window_start timestamp, p_time_zone text
) returns timestamptz
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return case p_limit_window
    when 'hour' then p_window_start at time zone 'UTC'
    when 'total' then null
    else credits_private.midnight(p_window_start::date, p_time_zone)
  end;
end
$$;

-- When the next window begins; null for a total, which has no next one, and for the period, whose
-- end stands in the account.
create or replace function credits_private.limit_window_end(
  p_limit_window text, p_window_start timestamp, p_time_zone text
) returns timestamptz
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return case p_limit_window
    when 'hour' then (p_window_start + interval '1 hour') at time zone 'UTC'
    when 'day' then credits_private.midnight(p_window_start::date + 1, p_time_zone)
    when 'week' then credits_private.midnight(p_window_start::date + 7, p_time_zone)
  end;
end
$$;

-- Whether p_amount passes no limit's ceiling. Call it under the account's lock, after settling: of
-- many calls at once, each sees what those before it spent and reserved, even if a window has no
-- counter yet (limits_are_never_passed).
--
-- Most calls pass none, and one statement finds that out for all limits. It says itself what
-- limit_scope_id says, and what a period's window is, because each call of a function would add 20
-- to 40 thousand instructions. Limits that know pseudonyms are left to examine_limits. Each counter
-- is a subquery of its own, so that it is one probe of the primary key, whatever the statistics
-- say: a limit can have counters by the thousand. (offset 0: otherwise Postgres would repeat the
-- expressions of the inner query for each of their uses.)
create or replace function credits_private.is_within_ceilings(
  p_account_id text, p_period date, p_time_zone text, p_amount bigint, p_api_key_id text,
  p_operation text, p_run_id text, p_at timestamptz
) returns boolean
language plpgsql stable
set search_path = pg_temp
as $$
begin
  perform
  from (
    select l.limit_id, l.ceiling - p_amount as most, l.scope_id, l.pseudonyms,
      coalesce(case l.scope
        when 'api_key' then p_api_key_id
        when 'operation' then p_operation
        when 'run' then p_run_id
      end, '') as id,
      case l.limit_window
        when 'period' then p_period
        else credits_private.limit_window_start(l.limit_window, p_period, p_at, p_time_zone)
      end as window_start
    from credits_private.limits as l
    where l.account_id = p_account_id
    offset 0
  ) as l
  where l.pseudonyms is not null
    or (l.scope_id is null or l.scope_id = l.id)
    and l.most < coalesce((
      select c.spent
      from credits_private.limit_counters as c
      where c.account_id = p_account_id and c.limit_id = l.limit_id
        and c.window_start = l.window_start and c.scope_id = l.id
    ), 0) + coalesce((
      select c.reserved
      from credits_private.limit_counters as c
      where c.account_id = p_account_id and c.limit_id = l.limit_id
        and c.window_start = '-infinity' and c.scope_id = l.id
    ), 0);
  return not found;
end
$$;

-- Which limits a call passes. The refusal names the limit that leaves least. Without a refusal,
-- returns the soft limits whose ceiling the call passes. A hold that is being captured does not
-- count twice.
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
  v_start timestamp;
  v_spent bigint;
  v_reserved bigint;
  v_left bigint;
  v_least bigint;
  v_check credits_private.limit_check;
  v_excepted bigint := coalesce((
    select h.held
    from credits_private.holds as h
    where h.account_id = p_account.account_id and h.hold_id = p_except_hold_id), 0);
begin
  if credits_private.is_within_ceilings(p_account.account_id, p_account.period,
    p_account.time_zone, p_amount, p_api_key_id, p_operation, p_run_id, p_at)
  then
    return null;
  end if;
  for v_limit in
    select l.* from credits_private.limits as l
    where l.account_id = p_account.account_id
    order by l.limit_id collate "C"
  loop
    v_scope_id := credits_private.limit_scope_id(v_limit.scope, v_limit.scope_id,
      v_limit.pseudonyms, p_api_key_id, p_operation, p_run_id);
    continue when v_scope_id is null;
    v_start := credits_private.limit_window_start(
      v_limit.limit_window, p_account.period, p_at, p_account.time_zone);
    v_spent := coalesce((
      select c.spent
      from credits_private.limit_counters as c
      where c.account_id = v_limit.account_id and c.limit_id = v_limit.limit_id
        and c.scope_id = v_scope_id and c.window_start = v_start), 0);
    v_reserved := coalesce((
      select c.reserved
      from credits_private.limit_counters as c
      where c.account_id = v_limit.account_id and c.limit_id = v_limit.limit_id
        and c.scope_id = v_scope_id and c.window_start = '-infinity'), 0) - v_excepted;
    v_left := greatest(0, v_limit.ceiling + v_limit.overage - v_spent - v_reserved);
    if v_left < least(p_amount, coalesce(v_least, p_amount)) then
      v_least := v_left;
      v_check.refusal := credits_private.limit_refusal(
        v_limit, v_scope_id, p_amount, v_spent, v_reserved, v_left, p_retry_at => case
          when v_limit.limit_window = 'period' then p_account.period_ends_at
          else credits_private.limit_window_end(
            v_limit.limit_window, v_start, p_account.time_zone)
        end);
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
-- starts with what the ledger already shows of that window, and with what open holds reserve.
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
  perform credits_private.count_reserved(p_limit);
  return p_limit;
end
$$;

-- The first entry that a limit counts if it is set now: time never runs back, so the entries of its
-- window are the account's last ones. Where an offset changes by a part of an hour, an hour begins
-- later than its name says, and the entries in between belong to the hour before.
create or replace function credits_private.first_entry_of_limit(
  p_account credits_private.account, p_limit credits_private.spending_limit
) returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_first_id bigint := case p_limit.limit_window
    when 'total' then 1
    when 'period'
    then credits_private.first_entry_of_period(p_account.account_id, p_account.period)
    else credits_private.first_entry_at(p_account.account_id, credits_private.limit_window_at(
      p_limit.limit_window, p_limit.counts_from, p_account.time_zone))
  end;
begin
  return coalesce((
    select e.entry_id
    from credits_private.entries as e
    where e.account_id = p_account.account_id and e.entry_id >= v_first_id
      and credits_private.limit_window_start(p_limit.limit_window, e.period, e.effective_at,
        p_account.time_zone) >= p_limit.counts_from
    order by e.entry_id
    limit 1
  ), p_account.last_entry_id + 1);
end
$$;

-- Counts what the ledger shows of a limit's first window: what was spent in it, less what was
-- refunded of that. The inner order makes Postgres read the entries by the primary key (see
-- entries_between).
create or replace function credits_private.count_limit(
  p_account credits_private.account, p_limit credits_private.spending_limit
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_first_id bigint := credits_private.first_entry_of_limit(p_account, p_limit);
  v_scope_ids text[];
  v_spent bigint[];
  v_last_entry_ids bigint[];
begin
  select array_agg(u.scope_id), array_agg(u.spent), array_agg(u.last_entry_id)
  into v_scope_ids, v_spent, v_last_entry_ids
  from (
    select s.scope_id, -sum(u.amount) as spent, max(u.last_entry_id) as last_entry_id
    from (
      select e.id, sum(e.amount) as amount, max(e.entry_id) as last_entry_id
      from (
        select e.entry_id, e.amount, case p_limit.scope
            when 'api_key' then e.api_key_id
            when 'operation' then e.operation
            when 'run' then e.run_id
          end as id
        from credits_private.entries as e
        where e.account_id = p_limit.account_id and e.entry_id >= v_first_id
          and (e.kind in ('deduction', 'capture') or e.refunded_entry_id >= v_first_id)
        order by e.entry_id
      ) as e
      group by e.id
    ) as u
    cross join lateral credits_private.limit_scope_id(p_limit.scope, p_limit.scope_id,
      p_limit.pseudonyms, p_api_key_id => u.id, p_operation => u.id, p_run_id => u.id
      ) as s (scope_id)
    where s.scope_id is not null
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

-- Counts what open holds reserve of a limit. It stands in the limit's counters of all time, because
-- a hold reserves in whichever window it began.
create or replace function credits_private.count_reserved(p_limit credits_private.spending_limit)
returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_scope_ids text[];
  v_reserved bigint[];
  v_last_part_ids bigint[];
begin
  select array_agg(r.scope_id), array_agg(r.reserved), array_agg(r.last_part_id)
  into v_scope_ids, v_reserved, v_last_part_ids
  from (
    select s.scope_id, sum(h.held) as reserved, max(h.last_part_id) as last_part_id
    from credits_private.holds as h
    cross join lateral credits_private.limit_scope_id(p_limit.scope, p_limit.scope_id,
      p_limit.pseudonyms, h.api_key_id, h.operation, h.run_id) as s (scope_id)
    where h.account_id = p_limit.account_id and h.state = 'open' and s.scope_id is not null
    group by s.scope_id
  ) as r;

  insert into credits_private.limit_counters (account_id, limit_id, window_start, scope_id)
  select p_limit.account_id, p_limit.limit_id, '-infinity', unnest(v_scope_ids)
  on conflict do nothing;
  update credits_private.limit_counters as c
  set reserved = r.reserved, last_part_id = r.last_part_id
  from unnest(v_scope_ids, v_reserved, v_last_part_ids) as r (scope_id, reserved, last_part_id)
  where c.account_id = p_limit.account_id and c.limit_id = p_limit.limit_id
    and c.window_start = '-infinity' and c.scope_id = r.scope_id;
end
$$;

-- Applies parts of holds to what limits have reserved, for the trigger on hold_parts: those from
-- p_first_id to p_last_id. The first hold under a limit finds no counter yet.
create or replace function credits_private.apply_reservations(
  p_account_id text, p_first_id bigint, p_last_id bigint
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_sum record;
begin
  for v_sum in
    select l.limit_id, s.scope_id, sum(p.amount)::bigint as amount, max(p.part_id) as last_part_id
    from credits_private.hold_parts as p
    join credits_private.holds as h on h.account_id = p.account_id and h.hold_id = p.hold_id
    join credits_private.limits as l on l.account_id = p.account_id
    cross join lateral credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
      h.api_key_id, h.operation, h.run_id) as s (scope_id)
    where p.account_id = p_account_id and p.part_id between p_first_id and p_last_id
      and s.scope_id is not null
    group by l.limit_id, s.scope_id
  loop
    loop
      update credits_private.limit_counters as c
      set reserved = c.reserved + v_sum.amount, last_part_id = v_sum.last_part_id
      where c.account_id = p_account_id and c.limit_id = v_sum.limit_id
        and c.window_start = '-infinity' and c.scope_id = v_sum.scope_id;
      exit when found;
      insert into credits_private.limit_counters (account_id, limit_id, window_start, scope_id)
      values (p_account_id, v_sum.limit_id, '-infinity', v_sum.scope_id);
    end loop;
  end loop;
end
$$;

-- Counts limits per hour, day and week anew, by the hours and days of a new time zone. What was
-- spent before does not break a limit in the new ones.
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
    where l.account_id = p_account.account_id and l.limit_window in ('hour', 'day', 'week')
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
  elsif p_window is null or p_window not in ('hour', 'day', 'week', 'period', 'total') then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_window', 'no such window',
      'A window is hour, day, week, period or total.');
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
