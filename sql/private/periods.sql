-- Billing periods: calendar arithmetic without a table. A period starts at midnight, in the
-- account's time zone, of its anchor day, and is named by that day. The session's TimeZone and
-- DateStyle play no part: every conversion names its zone.

-- The anchor day in the month of p_day: the 31st is the last day of shorter months. In plpgsql, as
-- Postgres before 18 plans a function in SQL anew at each call.
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

revoke all on function credits_private.anchor_in_month(date, int) from public;

-- The first anchor day after p_day. Security definer, as period_at: the view `remaining` calls
-- them, and Postgres runs a view's functions as its reader, who may use nothing of
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

revoke all on function credits_private.next_anchor(date, int) from public;

-- When a local day begins. Where clocks skip midnight, it is the first moment after the gap.
create or replace function credits_private.midnight(p_day date, p_time_zone text)
returns timestamptz
language sql immutable
set search_path = pg_temp
as $$
  select p_day::timestamp at time zone p_time_zone
$$;

revoke all on function credits_private.midnight(date, text) from public;

-- The last anchor day that has begun at p_at. The candidate of the local month may still lie ahead,
-- and then it is the one before.
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

revoke all on function credits_private.anchor_at(timestamptz, text, int) from public;

-- The period of an account in which a moment lies. A period that has begun keeps its end, even if
-- the account's zone or anchor was changed since; the ones after it follow the new ones, and none
-- of them begins before it ended. Nothing of it depends on how late it is asked.
create or replace function credits_private.period_at(
  p_at timestamptz, p_period date, p_next_period date, p_period_ends_at timestamptz,
  p_time_zone text, p_anchor_day int
) returns date
language plpgsql immutable security definer
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

revoke all on function
  credits_private.period_at(timestamptz, date, date, timestamptz, text, int) from public;
