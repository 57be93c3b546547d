-- A zone that Postgres knows by name. Not `at time zone` in a probe: that also takes 'x5' for a
-- zone of somebody's own, and what an abbreviation means depends on the session.
create or replace function credits_private.check_time_zone(p_account_id text, p_time_zone text)
returns void
language plpgsql stable
set search_path = pg_temp
as $$
begin
  if p_time_zone <> 'UTC'
    and not exists (select from pg_catalog.pg_timezone_names as z where z.name = p_time_zone)
  then
    perform credits_private.refuse_argument(p_account_id, 'p_time_zone', 'no such time zone',
      'Pass a name of the time zone database, such as Europe/Berlin.');
  end if;
end
$$;

revoke all on function credits_private.check_time_zone(text, text) from public;
