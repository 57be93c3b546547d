-- Opening and locking an account.

-- Inserts the account's row unless it is there: of two callers at once, one inserts. Nothing is due
-- before its first period ends.
create or replace function credits_private.insert_account(
  p_account_id text, p_unit text, p_scale int, p_time_zone text, p_anchor_day int,
  p_metadata jsonb, p_at timestamptz
) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  v_period date := credits_private.anchor_at(p_at, p_time_zone, p_anchor_day);
  v_next_period date := credits_private.next_anchor(v_period, p_anchor_day);
  v_ends_at timestamptz := credits_private.midnight(v_next_period, p_time_zone);
begin
  insert into credits_private.accounts (
    account_id, unit, scale, time_zone, anchor_day, metadata,
    opened_at, last_created_at, period, next_period, period_ends_at, due_at
  ) values (
    p_account_id, p_unit, p_scale, p_time_zone, p_anchor_day, p_metadata,
    p_at, p_at, v_period, v_next_period, v_ends_at, v_ends_at
  )
  on conflict (account_id) do nothing;
  return found;
end
$$;

revoke all on function
  credits_private.insert_account(text, text, int, text, int, jsonb, timestamptz) from public;

create or replace function credits_private.refuse_account(p_account_id text)
returns void
language plpgsql
set search_path = ''
as $$
begin
  perform credits_private.raise_error('PT404', 'no such account',
    jsonb_build_object('account_id', p_account_id),
    'Open it: grant_credits and open_account do, and nothing else does.');
end
$$;

revoke all on function credits_private.refuse_account(text) from public;

-- The lock that everything serialises on. A statement of its own: what the caller reads afterwards
-- is read as it is after the wait, not before. NO KEY, so that foreign keys of the app's own tables
-- to accounts would not wait for a deduction.
create or replace function credits_private.lock_account(p_account_id text)
returns credits_private.accounts
language plpgsql
set search_path = ''
as $$
declare
  v_account credits_private.accounts;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id
  for no key update;

  if not found then
    perform credits_private.refuse_account(p_account_id);
  end if;
  return v_account;
end
$$;

revoke all on function credits_private.lock_account(text) from public;

-- What a deduction for p_operation may take: a sum over rows, right whether or not what is due has
-- been settled.
create or replace function credits_private.available(
  p_account_id text, p_operation text, p_at timestamptz
) returns bigint
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(sum(g.remaining), 0)
    from credits_private.grants as g
    where g.account_id = p_account_id and g.is_open
      and (g.operations is null or p_operation = any (g.operations))
      and (g.expires_at is null or g.expires_at > p_at)
  );
end
$$;

revoke all on function credits_private.available(text, text, timestamptz) from public;
