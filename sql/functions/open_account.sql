-- The defaults of the arguments are null, and those of a new account stand below: a default in the
-- signature could not be told from a value that was given, and would overwrite an open account's.
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
  perform credits_private.check_id(p_account_id, 'p_unit', p_unit, true);
  if p_scale not between 0 and 15 then
    perform credits_private.refuse_argument(p_account_id, 'p_scale',
      'a scale must be a whole number from 0 to 15', 'It is the number of decimal places.');
  elsif p_anchor_day not between 1 and 31 then
    perform credits_private.refuse_argument(p_account_id, 'p_anchor_day',
      'an anchor day must be a whole number from 1 to 31', 'The 31st is the last day of a month.');
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

  -- What has been granted, also for later, and what limits count, is in that unit.
  if (p_unit <> v_account.unit or p_scale <> v_account.scale)
    and (v_account.last_grant_id > 0 or v_account.last_entry_id > 0 or v_account.has_limits)
  then
    perform credits_private.raise_error('PT409', 'unit and scale are fixed by the first grant or limit',
      jsonb_build_object('account_id', p_account_id, 'unit', v_account.unit,
        'scale', v_account.scale, 'entries', v_account.last_entry_id),
      'Open another account for another unit.');
  end if;

  -- The period that is running keeps its end: zone and anchor count from the next one on. A day has
  -- no such end, so what limits count per day is counted anew.
  update credits_private.accounts as a
  set
    unit = coalesce(p_unit, a.unit),
    scale = coalesce(p_scale, a.scale),
    overdraft_limit = coalesce(p_overdraft_limit, a.overdraft_limit),
    time_zone = coalesce(p_time_zone, a.time_zone),
    anchor_day = coalesce(p_anchor_day, a.anchor_day),
    metadata = coalesce(p_metadata, a.metadata)
  where a.account_id = p_account_id;
  if p_time_zone <> v_account.time_zone and v_account.has_limits then
    v_account.time_zone := p_time_zone;
    perform credits_private.count_days(v_account);
  end if;

  return credits_private.account_answer(p_account_id, v_account.last_created_at);
end
$$;

revoke all on function credits_private.open_account_at(
  text, text, int, bigint, text, int, jsonb, timestamptz) from public;

create or replace function credits.open_account(
  p_account_id text,
  p_unit text = null,
  p_scale int = null,
  p_overdraft_limit bigint = null,
  p_time_zone text = null,
  p_anchor_day int = null,
  p_metadata jsonb = null
) returns credits.account_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.open_account_at(
    p_account_id collate "default", p_unit collate "default", p_scale, p_overdraft_limit,
    p_time_zone collate "default", p_anchor_day, p_metadata, null);
end
$$;

revoke all on function
  credits.open_account(text, text, int, bigint, text, int, jsonb) from public;

comment on function credits.open_account(text, text, int, bigint, text, int, jsonb) is $comment$
Opens an account, or changes the settings of an open one.

A new account has, where an argument is left out: `p_unit` 'credit', `p_scale` 0,
`p_overdraft_limit` 0 (see `set_overdraft_limit`), `p_time_zone` 'UTC', `p_anchor_day` 1,
`p_metadata` '{}'. On an open account, an argument that is left out changes nothing. All amounts
are whole numbers of the unit's smallest part; `p_scale` says how many decimal places to show them
with. Billing periods start at midnight in the time zone on the anchor day (31 is the last day of
shorter months); the period that is running keeps its end when these change.

Returns the account, its balance, and what a deduction without operation may take.

A repeat with the same arguments changes nothing.

Raises `PT409` if unit or scale would change after the first entry, scheduled grant or limit; `PT423` if the account is
closed: opening it again is not possible; `22023` for a malformed
argument, such as a zone that Postgres does not know by name.
$comment$;
