-- requires: private/figures.sql
--
-- Opening and locking an account.
--
-- Each public function begins by locking no row of accounts. Even so, it needs the lock on the
-- table that a deploy holds: the call waits there for the deploy, before it has called anything. A
-- call that waited further down would go on in its old body, and find functions dropped by the
-- deploy. So whatever public functions call directly must stay unchanged for one more release.

-- Inserts the account's row unless it exists: of two callers at once, one inserts it. Nothing is
-- due before its first period ends.
create or replace function credits_private.insert_account(
  p_account_id text, p_unit text, p_scale int, p_time_zone text, p_anchor_day int,
  p_metadata jsonb, p_at timestamptz
) returns boolean
language plpgsql
set search_path = pg_temp
as $$
declare
  v_period date := credits_private.anchor_at(p_at, p_time_zone, p_anchor_day);
  v_next_period date := credits_private.next_anchor(v_period, p_anchor_day);
  v_ends_at timestamptz := credits_private.midnight(v_next_period, p_time_zone);
begin
  insert into credits_private.accounts (
    account_id, unit, scale, time_zone, anchor_day,
    opened_at, last_created_at, period, next_period, period_ends_at, due_at
  ) values (
    p_account_id, p_unit, p_scale, p_time_zone, p_anchor_day,
    p_at, p_at, v_period, v_next_period, v_ends_at, v_ends_at
  )
  on conflict (account_id) do nothing;
  if not found then
    return false;
  end if;
  perform credits_private.keep_account_metadata(p_account_id, p_metadata);
  return true;
end
$$;

-- Keeps an account's metadata, in place of what it had. Call it under the account's lock.
create or replace function credits_private.keep_account_metadata(
  p_account_id text, p_metadata jsonb
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_metadata = '{}' then
    delete from credits_private.account_metadata as m where m.account_id = p_account_id;
    return;
  end if;
  insert into credits_private.account_metadata as m (account_id, metadata)
  values (p_account_id, p_metadata)
  on conflict (account_id) do update
  set metadata = excluded.metadata;
end
$$;

create or replace function credits_private.no_such_account_refusal(p_account_id text)
returns credits_private.refusal
language sql immutable
set search_path = pg_temp
as $$
  select ('PT404', 'no such account', jsonb_build_object('account_id', p_account_id),
    'Open it first, with grant_credits or open_account.', null
  )::credits_private.refusal
$$;

create or replace function credits_private.closed_account_refusal(
  p_account credits_private.account
) returns credits_private.refusal
language sql immutable
set search_path = pg_temp
as $$
  select ('PT423', 'account closed',
    jsonb_build_object('account_id', p_account.account_id,
      'closed_at', to_jsonb(p_account.closed_at at time zone 'UTC') #>> '{}' || 'Z'),
    'What has begun can end (captures, releases, refunds, revocations); nothing new can begin.',
    null
  )::credits_private.refusal
$$;

create or replace function credits_private.check_is_open(p_account credits_private.account)
returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_account.closed_at is not null then
    perform credits_private.raise_refusal(credits_private.closed_account_refusal(p_account));
  end if;
end
$$;

-- The lock that everything serialises on. It is a statement of its own, so that what the caller
-- reads next is read after the wait. NO KEY, so that foreign keys from the app's own tables to
-- accounts do not wait for a deduction.
create or replace function credits_private.lock_account(p_account_id text)
returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id
  for no key update;

  if not found then
    perform credits_private.raise_refusal(credits_private.no_such_account_refusal(p_account_id));
  end if;
  return v_account;
end
$$;

-- The moment of a call, under the lock. It is the clock's, so that no account gets ahead of the
-- clock (the_clock_is_not_ahead), but never before the account's last call, even if the clock was
-- set back.
create or replace function credits_private.moment(
  p_account credits_private.account, p_at timestamptz
) returns timestamptz
language plpgsql
set search_path = pg_temp
as $$
begin
  return greatest(coalesce(p_at, clock_timestamp()), p_account.last_created_at);
end
$$;

-- Locks an account and settles what is due, for a call that sets a state and has no key. Returns
-- the account with the moment of the call as last_created_at. A caller that changes anything of the
-- account, even a limit or a hold, must then update the account's row: at repeatable read, another
-- call that waited for the row must not act on what it could not see.
create or replace function credits_private.enter(p_account_id text, p_at timestamptz)
returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account := credits_private.lock_account(p_account_id);
  v_at timestamptz := credits_private.moment(v_account, p_at);
begin
  if v_account.due_at <= v_at then
    v_account := credits_private.settle(v_account, v_at);
  end if;
  v_account.last_created_at := v_at;
  return v_account;
end
$$;

create or replace function credits_private.account_answer(p_account_id text, p_at timestamptz)
returns credits.account_result
language sql
set search_path = pg_temp
as $$
  select (a.account_id, a.balance,
    credits_private.available(p_account_id, null, p_at))::credits.account_result
  from credits_private.accounts as a
  where a.account_id = p_account_id
$$;
