-- A zone that Postgres knows by name. To read all names takes it some 20 ms, to use one almost
-- nothing; but to use one also works with 'x5', for a zone of somebody's own, and with what is an
-- abbreviation in this session. Neither has a slash and no digit: Area/Location is tried, the rest
-- is looked up.
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

-- Whether the server can use a zone. It can't any more where its time zone database has lost an old
-- name. Security definer, as views call it as their reader.
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
