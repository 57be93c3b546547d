-- What the functions for holds share.

-- A hold that is open, or the error that says why it is not. To be called after settling: a hold
-- that has expired says so, settled before or only now.
create or replace function credits_private.open_hold(p_account_id text, p_hold_id bigint)
returns credits_private.hold
language plpgsql
set search_path = pg_temp
as $$
declare
  v_hold credits_private.hold;
begin
  select h.* into v_hold
  from credits_private.holds as h
  where h.account_id = p_account_id and h.hold_id = p_hold_id;
  if not found then
    perform credits_private.raise_error('PT404', 'no such hold',
      jsonb_build_object('account_id', p_account_id, 'hold_id', p_hold_id),
      'Pass the hold_id that hold_credits returned.');
  elsif v_hold.state <> 'open' then
    perform credits_private.raise_error('PT410',
      case v_hold.state
        when 'expired' then 'hold expired'
        when 'released' then 'hold released'
        else 'hold already captured'
      end,
      jsonb_build_object('account_id', p_account_id, 'hold_id', p_hold_id, 'state', v_hold.state,
        'resolved_at', to_jsonb(v_hold.resolved_at at time zone 'UTC') #>> '{}' || 'Z'),
      case v_hold.state
        when 'expired' then 'Deduct instead; and hold for longer, or extend_hold in time.'
        else 'A hold is resolved once: make a new one.'
      end,
      'a_hold_is_resolved_once');
  end if;
  return v_hold;
end
$$;

revoke all on function credits_private.open_hold(text, bigint) from public;

-- What is left of a hold, by the grants that it was reserved from, in the order of drawing.
create or replace function credits_private.held_parts(
  p_account_id text, p_hold_id bigint, out grant_ids bigint[], out amounts bigint[]
)
language sql stable
set search_path = pg_temp
as $$
  select
    coalesce(array_agg(p.grant_id order by p.part_id), '{}'),
    coalesce(array_agg(p.amount order by p.part_id), '{}')
  from (
    select p.grant_id, sum(p.amount)::bigint as amount, min(p.part_id) as part_id
    from credits_private.hold_parts as p
    where p.account_id = p_account_id and p.hold_id = p_hold_id
    group by p.grant_id
    having sum(p.amount) > 0
  ) as p
$$;

revoke all on function credits_private.held_parts(text, bigint) from public;

-- The end of a hold: what is left of it returns to where it was reserved from. Once: the trigger of
-- holds refuses a second (a_hold_is_resolved_once).
create or replace function credits_private.resolve_hold(
  p_account credits_private.account, p_hold_id bigint, p_state text, p_effective_at timestamptz,
  p_created_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_parts record := credits_private.held_parts(p_account.account_id, p_hold_id);
begin
  p_account := credits_private.write_parts(p_account, p_hold_id, v_parts.grant_ids,
    v_parts.amounts, -1, p_effective_at, p_created_at);
  -- Also of a hold that has nothing left: who waited for the account at repeatable read would
  -- capture what it still sees as open.
  update credits_private.accounts as a
  set last_created_at = p_created_at
  where a.account_id = p_account.account_id;
  update credits_private.holds as h
  set state = p_state, resolved_at = p_effective_at
  where h.account_id = p_account.account_id and h.hold_id = p_hold_id;
  return credits_private.tidy(
    p_account, v_parts.grant_ids, v_parts.amounts, p_effective_at, p_created_at);
end
$$;

revoke all on function credits_private.resolve_hold(
  credits_private.account, bigint, text, timestamptz, timestamptz) from public;

-- A moment by an interval later: a day has 24 hours and a month is one of UTC's, whatever the session's
-- time zone is. Null where there is no such moment, or none of which the microseconds are a bigint.
create or replace function credits_private.moment_after(p_at timestamptz, p_interval interval)
returns timestamptz
language plpgsql immutable
set search_path = pg_temp
as $$
declare
  v_after timestamptz;
begin
  v_after := (p_at at time zone 'UTC' + p_interval) at time zone 'UTC';
  return case when v_after < '290000-01-01Z' and v_after > '-infinity' then v_after end;
exception
  when datetime_field_overflow or interval_field_overflow then
    return null;
end
$$;

revoke all on function credits_private.moment_after(timestamptz, interval) from public;

-- When a hold ends that begins at p_at.
create or replace function credits_private.hold_expires_at(
  p_account_id text, p_at timestamptz, p_expires_in interval
) returns timestamptz
language plpgsql
set search_path = pg_temp
as $$
declare
  v_expires_at timestamptz := credits_private.moment_after(p_at, p_expires_in);
begin
  if v_expires_at is null or v_expires_at <= p_at
    or v_expires_at at time zone 'UTC' > p_at at time zone 'UTC' + interval '10 years'
  then
    perform credits_private.refuse_argument(p_account_id, 'p_expires_in',
      'a hold must last longer than nothing and at most ten years',
      'Pass an interval such as 15 minutes; extend_hold makes it longer.');
  end if;
  return v_expires_at;
end
$$;

revoke all on function
  credits_private.hold_expires_at(text, timestamptz, interval) from public;

create or replace function credits_private.check_hold_id(p_account_id text, p_hold_id bigint)
returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_hold_id is null or p_hold_id < 1 then
    perform credits_private.refuse_argument(p_account_id, 'p_hold_id',
      'a hold id must be a whole number from 1', 'Pass the hold_id that hold_credits returned.');
  end if;
end
$$;

revoke all on function credits_private.check_hold_id(text, bigint) from public;

-- Adds a hold, empty: its parts fill it. Returns the account with the new hold's number in
-- last_hold_id, and due when the hold expires, if that comes first. The row comes before its number
-- is counted: a guard holds the one to the other.
create or replace function credits_private.insert_hold(
  p_account credits_private.account, p_amount bigint, p_expires_at timestamptz,
  p_api_key_id text, p_operation text, p_run_id text, p_metadata jsonb, p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.holds (
    account_id, hold_id, amount, expires_at, created_at, api_key_id, operation, run_id, metadata
  ) values (
    p_account.account_id, p_account.last_hold_id + 1, p_amount, p_expires_at, p_at, p_api_key_id,
    p_operation, p_run_id, p_metadata
  );

  update credits_private.accounts as a
  set last_hold_id = a.last_hold_id + 1, due_at = least(a.due_at, p_expires_at)
  where a.account_id = p_account.account_id
  returning a.* into p_account;
  return p_account;
end
$$;

revoke all on function credits_private.insert_hold(
  credits_private.account, bigint, timestamptz, text, text, text, jsonb, timestamptz) from public;
