-- Checks that Postgres knows the zone by name. Reading all names takes some 20 ms, and using one
-- takes almost nothing. But Postgres also accepts 'x5', for a zone made up on the spot, and the
-- abbreviations of the session, none of which has both a slash and no digit. So Area/Location is
-- tried, and anything else is looked up.
create or replace function credits_private.check_time_zone(p_account_id text, p_time_zone text)
returns void
language plpgsql stable
set search_path = pg_temp
as $$
begin
  if coalesce(p_time_zone, 'UTC') = 'UTC' then
    return;
  elsif p_time_zone ~ '^[A-Z][A-Za-z]+(/[A-Z][a-z]+([_-][A-Z]?[a-z]+)*)+$' then
    if credits_private.is_time_zone(p_time_zone) then
      return;
    end if;
  elsif exists (select from pg_catalog.pg_timezone_names as z where z.name = p_time_zone) then
    return;
  end if;
  perform credits_private.raise_invalid_argument(p_account_id, 'p_time_zone', 'no such time zone',
    'Pass a name of the time zone database, such as Europe/Berlin.');
end
$$;

-- Whether the server can use a zone. It no longer can if its time zone database has lost an old
-- name. Security definer, because views call it as their reader.
create or replace function credits_private.is_time_zone(p_time_zone text)
returns boolean
language plpgsql immutable security definer
set search_path = pg_temp
as $$
begin
  if p_time_zone collate "default" <> 'UTC' then
    perform 'epoch'::timestamptz at time zone p_time_zone collate "default";
  end if;
  return true;
exception
  when invalid_parameter_value then
    return false;
end
$$;
