-- Billing periods: calendar arithmetic without a table. A period starts at midnight of its anchor
-- day, in the account's time zone, and is named by that day. The session's TimeZone and DateStyle
-- have no effect: every conversion names its zone.

-- The anchor day in the month of p_day: the 31st is the last day of shorter months. In plpgsql,
-- because Postgres before 18 plans an SQL function anew at each call.
create or replace function credits_private.anchor_in_month(p_day date, p_anchor_day int)
returns date
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return least(
    date_trunc('month', p_day::timestamp)::date + p_anchor_day - 1,
    (date_trunc('month', p_day::timestamp) + interval '1 month')::date - 1);
end
$$;

-- The first anchor day after p_day. Security definer, like period_shown: the view `remaining` calls
-- both, and Postgres runs a view's functions as the view's reader, who may use nothing of
-- credits_private.
create or replace function credits_private.next_anchor(p_day date, p_anchor_day int)
returns date
language sql immutable security definer
set search_path = pg_temp
as $$
  select case
    when credits_private.anchor_in_month(p_day, p_anchor_day) > p_day
      then credits_private.anchor_in_month(p_day, p_anchor_day)
    else credits_private.anchor_in_month(
      (date_trunc('month', p_day::timestamp) + interval '1 month')::date, p_anchor_day)
  end
$$;

-- When a local day begins. Where clocks skip midnight, the day begins at the first moment after the
-- gap. Where clocks go back over midnight, it begins at the first of the two. Postgres takes the
-- second; the first is where the offset of the day before puts it.
create or replace function credits_private.midnight(p_day date, p_time_zone text)
returns timestamptz
language plpgsql immutable
set search_path = pg_temp
as $$
declare
  v_local timestamp := p_day::timestamp;
  v_at timestamptz := v_local at time zone p_time_zone;
  v_day_before timestamptz := v_at - interval '24 hours';
  v_first timestamptz := (v_local - (v_day_before at time zone p_time_zone
    - v_day_before at time zone 'UTC')) at time zone 'UTC';
begin
  if v_first < v_at and v_first at time zone p_time_zone = v_local then
    return v_first;
  end if;
  return v_at;
end
$$;

-- The last anchor day that has begun by p_at: that of the local month, or, if that one still lies
-- ahead, that of the month before.
create or replace function credits_private.anchor_at(
  p_at timestamptz, p_time_zone text, p_anchor_day int
) returns date
language plpgsql immutable
set search_path = pg_temp
as $$
declare
  v_day date := (p_at at time zone p_time_zone)::date;
  v_anchor date := credits_private.anchor_in_month(v_day, p_anchor_day);
begin
  if credits_private.midnight(v_anchor, p_time_zone) > p_at then
    v_anchor := credits_private.anchor_in_month(
      (date_trunc('month', v_day::timestamp) - interval '1 month')::date, p_anchor_day);
  end if;
  return v_anchor;
end
$$;

-- The period of an account that contains p_at. A period that has begun keeps its end, even if the
-- account's zone or anchor day has changed since. Later periods follow the new settings, and none
-- of them begins before that end. The answer does not depend on how late anybody asks.
create or replace function credits_private.period_at(
  p_at timestamptz, p_period date, p_next_period date, p_period_ends_at timestamptz,
  p_time_zone text, p_anchor_day int
) returns date
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  if p_at < p_period_ends_at then
    return p_period;
  end if;
  return greatest(
    credits_private.anchor_at(p_at, p_time_zone collate "default", p_anchor_day), p_next_period);
end
$$;

-- period_at for views, which one account must not break for the others: null if the server no
-- longer knows the account's time zone.
create or replace function credits_private.period_shown(
  p_at timestamptz, p_period date, p_next_period date, p_period_ends_at timestamptz,
  p_time_zone text, p_anchor_day int
) returns date
language plpgsql immutable security definer
set search_path = pg_temp
as $$
begin
  if p_at < p_period_ends_at then
    return p_period;
  elsif credits_private.is_time_zone(p_time_zone collate "default") then
    return credits_private.period_at(
      p_at, p_period, p_next_period, p_period_ends_at, p_time_zone collate "default", p_anchor_day);
  end if;
  return null;
end
$$;
