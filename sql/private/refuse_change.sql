-- The error of every guard.
create or replace function credits_private.raise_change_by_hand(
  p_invariant text, p_table text, p_change text
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.raise_error('23514', 'a change by hand is refused',
    jsonb_build_object('table', p_table, 'change', lower(p_change)),
    'The ledger is written by the functions of the schema credits. To correct a mistake, book the '
      'opposite: grant, deduct or refund.',
    p_invariant);
end
$$;

-- The function of a guard, which refuses. Guards stop mistakes, the owner's too; privileges stop
-- callers. The trigger's arguments are the promise that it guards and the table (on a distributed
-- table, tg_table_name is the name of a shard).
--
-- A guard's columns and WHEN clause decide, and the function runs only to refuse: guards that ran a
-- function at each update cost a deduction 9 to 18 % of its throughput. The clauses are short,
-- because each statement copies all of a table's clauses, and parses those that apply.
create or replace function credits_private.refuse_change() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  return null;
end
$$;

-- The guard of an account's last_entry_id: it rises by one, or by as many entries as one statement
-- wrote.
create or replace function credits_private.refuse_unless_written() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  perform
  from credits_private.entries_between(
    new.account_id, old.last_entry_id + 1, old.last_entry_id + 1) as e
  where e.statement_entries = new.last_entry_id - old.last_entry_id;
  if not found then
    perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;
  return null;
end
$$;

-- The guard of an account's last_part_id, likewise.
create or replace function credits_private.refuse_unless_ended() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  perform
  from credits_private.hold_parts as p
  where p.account_id = new.account_id and p.part_id = old.last_part_id + 1
    and p.statement_parts = new.last_part_id - old.last_part_id;
  if not found then
    perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;
  return null;
end
$$;

-- The guard of an account's flags, id counters, period and terms: each must agree with the rows.
--
-- * A counter rises by one, with the row that it counts.
-- * An account is closed at the moment of the call that closes it.
-- * A period begins where the one before it has ended.
-- * An account may be due too early, as it is once a hold was extended, but never too late.
-- * An import lets an unused account begin earlier.
--
-- What seldom changes is checked in statements of its own, so that a hold does not prepare them.
create or replace function credits_private.refuse_unless_true() returns trigger
language plpgsql
set search_path = pg_temp
as $$
declare
  v_is_true boolean := true;
  v_is_unused boolean := old.last_entry_id = 0 and old.last_grant_id = 0 and old.last_hold_id = 0
    and not old.has_limits and old.closed_at is null;
begin
  if new.last_grant_id <> old.last_grant_id then
    v_is_true := new.last_grant_id = old.last_grant_id + 1 and exists (
      select from credits_private.grants as g
      where g.account_id = new.account_id and g.grant_id = new.last_grant_id);
  end if;
  if new.last_hold_id <> old.last_hold_id then
    v_is_true := v_is_true and new.last_hold_id = old.last_hold_id + 1 and exists (
      select from credits_private.holds as h
      where h.account_id = new.account_id and h.hold_id = new.last_hold_id);
  end if;
  if new.has_limits <> old.has_limits then
    v_is_true := v_is_true and new.has_limits = exists (
      select from credits_private.limits as l where l.account_id = new.account_id);
  end if;
  if new.has_keys <> old.has_keys then
    v_is_true := v_is_true and new.has_keys and exists (
      select from credits_private.idempotency_keys as k
      where k.account_id = new.account_id and k.transaction_id is null);
  end if;
  if (new.due_at > old.due_at or new.period_ends_at <> old.period_ends_at
      or new.period <> old.period or new.next_period <> old.next_period)
    and not (v_is_unused and new.period_ends_at = '-infinity')
  then
    v_is_true := v_is_true and new.due_at <= credits_private.first_due(
      new.account_id, new.last_created_at)
      and ((new.period, new.next_period, new.period_ends_at)
          = (old.period, old.next_period, old.period_ends_at)
        or old.period_ends_at <= new.last_created_at
          and new.period = credits_private.period_at(new.last_created_at, old.period,
            old.next_period, old.period_ends_at, new.time_zone, new.anchor_day)
          and new.next_period = credits_private.next_anchor(new.period, new.anchor_day)
          and new.period_ends_at = credits_private.midnight(new.next_period, new.time_zone));
  end if;
  if not v_is_true or new.account_id <> old.account_id
    or new.opened_at <> old.opened_at and not (v_is_unused and new.opened_at < old.opened_at)
    or (new.unit <> old.unit or new.scale <> old.scale)
      and (old.last_grant_id > 0 or old.last_entry_id > 0 or old.has_limits)
    or new.closed_at is distinct from old.closed_at
      and (old.closed_at is null and new.closed_at = new.last_created_at) is not true
  then
    perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;

  -- The period keeps its end: the settings that it was cut by are kept until the next one begins.
  if new.time_zone <> old.time_zone or new.anchor_day <> old.anchor_day then
    insert into credits_private.period_settings (account_id, period, time_zone, anchor_day)
    values (new.account_id, old.period, old.time_zone, old.anchor_day)
    on conflict (account_id) do nothing;
  end if;
  return null;
end
$$;

-- The guard of new rows: each figure, flag and counter starts at nothing. It has no WHEN clause:
-- new rows are few, and Postgres copies every clause of a table for each statement that updates the
-- table.
create or replace function credits_private.refuse_unless_empty() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  perform
  from jsonb_each_text(to_jsonb(new)) as c
  where c.key in ('balance', 'debt', 'held', 'overdraft_held', 'last_entry_id', 'last_grant_id',
      'last_hold_id', 'last_part_id', 'remaining', 'reserved', 'taken', 'revoked', 'spent',
      'credits_used', 'credits_refunded', 'calls', 'available_above')
    and c.value <> '0'
    or c.key in ('has_limits', 'has_keys', 'is_open') and c.value <> 'false'
    or c.key in ('closed_at', 'cancelled_at', 'resolved_at', 'head_grant_id', 'head_balance',
      'scoped_operations') and c.value is not null
    or c.key = 'state' and c.value <> 'open'
    or c.key = 'plain_above' and c.value <> '9007199254740992';
  if found then
    perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;
  return null;
end
$$;

-- The same for holds, which are many: in columns, it costs a tenth.
create or replace function credits_private.refuse_unless_unheld() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  if new.held <> 0 or new.last_part_id <> 0 or new.state <> 'open' or new.resolved_at is not null
  then
    perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;
  return null;
end
$$;

-- The guard of a grant. A scheduled one begins with its entry, or is cancelled, once.
create or replace function credits_private.refuse_unless_granted() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  if (new.revoked = old.revoked or new.revoked = (
      select sum(r.amount)
      from credits_private.revocations as r
      where r.account_id = new.account_id and r.grant_id = new.grant_id))
    and (new.is_scheduled = old.is_scheduled
        and new.cancelled_at is not distinct from old.cancelled_at
      or old.is_scheduled and not new.is_scheduled
        and (new.last_entry_id > 0) = (new.cancelled_at is null))
    and (new.account_id, new.grant_id, new.amount, new.effective_at, new.expires_at, new.created_at,
        new.origin_grant_id, new.paid_amount, new.paid_currency, new.priority, new.source,
        new.operations)
      is not distinct from (old.account_id, old.grant_id, old.amount, old.effective_at,
        old.expires_at, old.created_at, old.origin_grant_id, old.paid_amount, old.paid_currency,
        old.priority, old.source, old.operations)
  then
    return null;
  end if;
  perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  return null;
end
$$;

-- The guard of a limit: it is set after the account's last entry, and only pseudonyms are added to
-- what it knows.
create or replace function credits_private.refuse_unless_set_now() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  if tg_op = 'UPDATE' then
    perform
    where coalesce(new.pseudonyms, '{}') @> coalesce(old.pseudonyms, '{}') and not exists (
      select from jsonb_object_keys(new.pseudonyms) as p (id)
      where p.id !~ '^forgotten (api key|run) [0-9]{1,9}$');
    if not found then
      perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
    elsif (new.ceiling, new.overage, new.set_entry_id)
      = (old.ceiling, old.overage, old.set_entry_id)
    then
      return null;
    end if;
  end if;
  perform
  from credits_private.accounts as a
  where a.account_id = new.account_id and a.last_entry_id = new.set_entry_id;
  if not found then
    perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;
  return null;
end
$$;

-- The guard of a limit's counters.
create or replace function credits_private.refuse_while_limited() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  perform
  from credits_private.limits as l
  where l.account_id = old.account_id and l.limit_id = old.limit_id;
  if found then
    perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;
  return null;
end
$$;

-- The guard of the columns that can name a person. A pseudonym may replace an id (null, '' and
-- another pseudonym are no ids), and metadata may be emptied: what forget_account does, and no
-- more.
create or replace function credits_private.refuse_unless_forgotten() returns trigger
language plpgsql
set search_path = pg_temp
as $$
declare
  v_old jsonb := to_jsonb(old);
  v_column text;
  v_value text;
begin
  for v_column, v_value in
    select c.key, c.value
    from jsonb_each_text(to_jsonb(new)) as c
    where c.key in ('api_key_id', 'run_id', 'scope_id', 'metadata')
      and c.value is distinct from v_old ->> c.key
  loop
    if (case v_column
      when 'metadata' then v_value = '{}' or v_value is null
      else v_old ->> v_column <> '' and v_value ~ '^forgotten (api key|run) [0-9]{1,9}$'
        and v_old ->> v_column !~ '^forgotten (api key|run) [0-9]{1,9}$'
    end) is not true then
      perform credits_private.raise_error('23514', 'a change by hand is refused',
        jsonb_build_object('table', tg_argv[1], 'change', lower(tg_op), 'column', v_column),
        'To erase a person, call forget_account. To correct a mistake, book the opposite: grant, '
          'deduct or refund.',
        tg_argv[0]);
    end if;
  end loop;
  return new;
end
$$;
