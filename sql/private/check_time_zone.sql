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
    begin
      perform 'epoch'::timestamptz at time zone p_time_zone;
      return;
    exception when invalid_parameter_value then -- refused below
    end;
  elsif exists (select from pg_catalog.pg_timezone_names as z where z.name = p_time_zone) then
    return;
  end if;
  perform credits_private.refuse_argument(p_account_id, 'p_time_zone', 'no such time zone',
    'Pass a name of the time zone database, such as Europe/Berlin.');
end
$$;

revoke all on function credits_private.check_time_zone(text, text) from public;
