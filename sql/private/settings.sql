-- Opening an account, changing its settings, settling and closing it: calls that set a state,
-- without a key.

create or replace function credits_private.close_account_at(
  p_account_id text, p_at timestamptz
) returns credits.account_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  v_account := credits_private.put_down_head(credits_private.enter(p_account_id, p_at));

  update credits_private.accounts as a
  set closed_at = v_account.last_created_at, last_created_at = v_account.last_created_at
  where a.account_id = p_account_id and a.closed_at is null;
  -- What was due by now has been booked. The rest never will be.
  update credits_private.grants as g
  set is_scheduled = false, cancelled_at = v_account.last_created_at
  where g.account_id = p_account_id and g.is_scheduled;
  return credits_private.account_answer(p_account_id, v_account.last_created_at);
end
$$;

-- The arguments' defaults are null, and the defaults of a new account stand in the body: a default
-- in the signature would look like a value that was given, and overwrite an open account's
-- settings.
create or replace function credits_private.open_account_at(
  p_account_id text, p_unit text, p_scale int, p_overdraft_limit bigint, p_time_zone text,
  p_anchor_day int, p_metadata jsonb, p_at timestamptz
) returns credits.account_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_id(p_account_id, 'p_unit', p_unit, p_optional => true);
  if p_scale not between 0 and 15 then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_scale',
      'a scale must be a whole number from 0 to 15', 'It is the number of decimal places.');
  elsif p_anchor_day not between 1 and 31 then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_anchor_day',
      'an anchor day must be a whole number from 1 to 31',
      'In a shorter month, 31 is the last day.');
  elsif p_overdraft_limit is not null then
    perform credits_private.check_ceiling(p_account_id, 'p_overdraft_limit', p_overdraft_limit);
  end if;
  if p_metadata is not null then
    perform credits_private.check_metadata(p_account_id, p_metadata);
  end if;
  perform credits_private.check_time_zone(p_account_id, p_time_zone);

  perform credits_private.insert_account(p_account_id, coalesce(p_unit, 'credit'),
    coalesce(p_scale, 0), coalesce(p_time_zone, 'UTC'), coalesce(p_anchor_day, 1),
    coalesce(p_metadata, '{}'), coalesce(p_at, clock_timestamp()));
  v_account := credits_private.enter(p_account_id, p_at);
  perform credits_private.check_is_open(v_account);

  -- Amounts that were granted, scheduled ones included, and those that limits count are in that
  -- unit.
  if (p_unit <> v_account.unit or p_scale <> v_account.scale)
    and (v_account.last_grant_id > 0 or v_account.last_entry_id > 0 or v_account.has_limits)
  then
    perform credits_private.raise_error('PT409',
      'unit and scale are fixed by the first grant or limit',
      jsonb_build_object('account_id', p_account_id, 'unit', v_account.unit,
        'scale', v_account.scale, 'entries', v_account.last_entry_id),
      'Open another account for another unit.');
  end if;

  if p_overdraft_limit is not null then
    v_account := credits_private.put_down_head(v_account);
  end if;
  -- The running period keeps its end: time zone and anchor day count from the next one on. A day
  -- has no such end, so what limits count per day is counted anew.
  update credits_private.accounts as a
  set
    unit = coalesce(p_unit, a.unit),
    scale = coalesce(p_scale, a.scale),
    overdraft_limit = coalesce(p_overdraft_limit, a.overdraft_limit),
    time_zone = coalesce(p_time_zone, a.time_zone),
    anchor_day = coalesce(p_anchor_day, a.anchor_day)
  where a.account_id = p_account_id;
  if p_metadata is not null then
    perform credits_private.keep_account_metadata(p_account_id, p_metadata);
  end if;
  if p_time_zone <> v_account.time_zone and v_account.has_limits then
    v_account.time_zone := p_time_zone;
    perform credits_private.count_days(v_account);
  end if;

  return credits_private.account_answer(p_account_id, v_account.last_created_at);
end
$$;

create or replace function credits_private.set_overdraft_limit_at(
  p_account_id text, p_overdraft_limit bigint, p_at timestamptz
) returns credits.account_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_ceiling(p_account_id, 'p_overdraft_limit', p_overdraft_limit);
  v_account := credits_private.put_down_head(credits_private.enter(p_account_id, p_at));
  perform credits_private.check_is_open(v_account);
  update credits_private.accounts as a
  set overdraft_limit = p_overdraft_limit
  where a.account_id = p_account_id;
  return credits_private.account_answer(p_account_id, v_account.last_created_at);
end
$$;

create or replace function credits_private.settle_account_at(p_account_id text, p_at timestamptz)
returns credits.account_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  v_account := credits_private.enter(p_account_id, p_at);
  return credits_private.account_answer(p_account_id, v_account.last_created_at);
end
$$;
