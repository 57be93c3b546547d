-- The settings that a period was cut by must give its end, and may be deleted only when the
-- account's own settings give it. A time zone that the server no longer has gives no end to
-- compare.
create or replace function credits_private.refuse_unless_cut_by() returns trigger
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account record;
  v_time_zone text;
  v_anchor_day int;
begin
  select a.period, a.next_period, a.period_ends_at, a.time_zone, a.anchor_day into v_account
  from credits_private.accounts as a
  where a.account_id = case tg_op when 'INSERT' then new.account_id else old.account_id end;
  v_time_zone := case tg_op when 'INSERT' then new.time_zone else v_account.time_zone end;
  v_anchor_day := case tg_op when 'INSERT' then new.anchor_day else v_account.anchor_day end;
  if v_account.period is not null and (tg_op = 'INSERT' and new.period <> v_account.period
    or v_time_zone is null
    or v_account.next_period <> credits_private.next_anchor(v_account.period, v_anchor_day)
    or credits_private.is_time_zone(v_time_zone) and v_account.period_ends_at not in (
      credits_private.midnight(v_account.next_period, v_time_zone),
      -- The second of two midnights, where it was cut before migration 0005.
      v_account.next_period::timestamp at time zone v_time_zone))
  then
    perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;
  return null;
end
$$;

create or replace trigger _100_settings_are_those_of_the_period
  after insert or delete on credits_private.period_settings
  for each row
  execute function
    credits_private.refuse_unless_cut_by('counters_change_only_with_the_ledger', 'period_settings');

create or replace trigger _110_settings_are_immutable
  before update on credits_private.period_settings
  for each row
  execute function
    credits_private.refuse_change('counters_change_only_with_the_ledger', 'period_settings');

create or replace trigger _120_settings_are_never_truncated
  before truncate on credits_private.period_settings
  for each statement
  execute function
    credits_private.refuse_change('counters_change_only_with_the_ledger', 'period_settings');
