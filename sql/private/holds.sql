-- What the functions for holds share.

-- Returns a hold that is open, or raises why it is not. Call it after settling, so that a hold that
-- has expired is reported as such, whenever it was settled.
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
        when 'expired'
        then 'Deduct instead. Next time, hold for longer, or call extend_hold in time.'
        else 'A hold is resolved once: make a new one.'
      end,
      'a_hold_is_resolved_once');
  end if;
  return v_hold;
end
$$;

-- What is left of a hold, per grant that it was reserved from, in the order of drawing.
create or replace function credits_private.held_parts(
  p_account_id text, p_hold_id bigint, out grant_ids bigint[], out amounts bigint[]
)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  select
    coalesce(array_agg(p.grant_id order by p.part_id), '{}'),
    coalesce(array_agg(p.amount order by p.part_id), '{}')
  into grant_ids, amounts
  from (
    select p.grant_id, sum(p.amount)::bigint as amount, min(p.part_id) as part_id
    from credits_private.hold_parts as p
    where p.account_id = p_account_id and p.hold_id = p_hold_id
    group by p.grant_id
    having sum(p.amount) > 0
  ) as p;
end
$$;

-- Ends a hold of which nothing is left. This happens once: the trigger on holds refuses a second
-- end (a_hold_is_resolved_once).
create or replace function credits_private.end_hold(
  p_account_id text, p_hold_id bigint, p_state text, p_at timestamptz
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  update credits_private.holds as h
  set state = p_state, resolved_at = p_at
  where h.account_id = p_account_id and h.hold_id = p_hold_id;
end
$$;

-- Returns what is left of a hold to where it was reserved from, and ends the hold.
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
    v_parts.amounts, p_sign => -1, p_effective_at => p_effective_at, p_created_at => p_created_at);
  if v_parts.grant_ids = '{}' then
    -- The account's row must change: a call that waited for it at repeatable read would capture a
    -- hold that it still sees as open.
    update credits_private.accounts as a
    set last_created_at = p_created_at
    where a.account_id = p_account.account_id;
  end if;
  perform credits_private.end_hold(
    p_account.account_id, p_hold_id, p_state, p_effective_at);
  return credits_private.tidy(
    p_account, v_parts.grant_ids, v_parts.amounts, p_effective_at, p_created_at);
end
$$;

-- The moment that is an interval later than p_at: a day has 24 hours and a month is one of UTC's,
-- whatever the session's time zone is. Null if there is no such moment, or if its microseconds do
-- not fit in a bigint.
create or replace function credits_private.moment_after(p_at timestamptz, p_interval interval)
returns timestamptz
language plpgsql immutable
set search_path = pg_temp
as $$
declare
  v_after timestamptz;
begin
  -- Nothing overflows in this range, so no subtransaction is needed to find out.
  if p_at < '200000-01-01Z' and p_interval between interval '0' and interval '1000 years' then
    return (p_at at time zone 'UTC' + p_interval) at time zone 'UTC';
  end if;
  begin
    v_after := (p_at at time zone 'UTC' + p_interval) at time zone 'UTC';
    return case when v_after < '290000-01-01Z' and v_after > '-infinity' then v_after end;
  exception
    when datetime_field_overflow or interval_field_overflow then
      return null;
  end;
end
$$;

-- When a hold that begins at p_at ends.
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
    perform credits_private.raise_invalid_argument(p_account_id, 'p_expires_in',
      'a hold must last for some time, and at most ten years',
      'Pass an interval such as 15 minutes; extend_hold makes it longer.');
  end if;
  return v_expires_at;
end
$$;

create or replace function credits_private.check_hold_id(p_account_id text, p_hold_id bigint)
returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_hold_id is null or p_hold_id < 1 then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_hold_id',
      'a hold id must be a whole number from 1', 'Pass the hold_id that hold_credits returned.');
  end if;
end
$$;

-- Adds an empty hold: its parts fill it. Returns the account with the new hold's number in
-- last_hold_id, and due when the hold expires, if that comes first. The hold's row is inserted
-- before last_hold_id is raised, because a guard requires the row.
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

create or replace function credits_private.extend_hold_at(
  p_account_id text, p_hold_id bigint, p_expires_in interval, p_at timestamptz
) returns credits.extend_hold_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
  v_hold credits_private.hold;
  v_expires_at timestamptz;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_hold_id(p_account_id, p_hold_id);
  perform credits_private.hold_expires_at(p_account_id, '2000-01-01Z', p_expires_in);

  v_account := credits_private.enter(p_account_id, p_at);
  perform credits_private.check_is_open(v_account);
  v_hold := credits_private.open_hold(p_account_id, p_hold_id);
  v_expires_at := credits_private.hold_expires_at(
    p_account_id, v_account.last_created_at, p_expires_in);

  -- A hold is never shortened. The account stays due at the old moment, and finds nothing to do
  -- then.
  if v_expires_at > v_hold.expires_at then
    update credits_private.holds as h
    set expires_at = v_expires_at
    where h.account_id = p_account_id and h.hold_id = p_hold_id
    returning h.* into v_hold;
    update credits_private.accounts as a
    set last_created_at = v_account.last_created_at
    where a.account_id = p_account_id;
  end if;
  return (p_hold_id, v_hold.held, v_account.balance,
    credits_private.available(p_account_id, null, v_account.last_created_at), v_hold.expires_at
    )::credits.extend_hold_result;
end
$$;

-- What a hold reserves: of the head, if it covers the hold, or of the grants that a deduction would
-- draw on.
create or replace function credits_private.draw_hold(
  p_account credits_private.account, p_amount bigint, p_operation text, p_at timestamptz
) returns credits_private.draw
language plpgsql
set search_path = pg_temp
as $$
declare
  v_draw credits_private.draw;
begin
  if p_account.balance - p_amount > p_account.plain_above
    and (p_operation = any (p_account.scoped_operations)) is not true
  then
    return (array[p_account.head_grant_id], array[p_amount], p_amount,
      p_account.balance + p_account.available_above - p_amount, null)::credits_private.draw;
  end if;
  v_draw := credits_private.draw(p_account.account_id, p_amount, p_operation, p_at,
    credits_private.overdraft(p_account));
  if v_draw.drawable < p_amount then
    perform credits_private.raise_refusal(credits_private.shortage_refusal(
      p_account.account_id, p_amount, v_draw.drawable, p_operation));
  end if;
  return v_draw;
end
$$;

create or replace function credits_private.hold_credits_at(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_expires_in interval,
  p_api_key_id text, p_operation text, p_run_id text, p_metadata jsonb, p_at timestamptz
) returns credits.hold_credits_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_arguments jsonb;
  v_request credits_private.request;
  v_account credits_private.account;
  v_expires_at timestamptz;
  v_check credits_private.limit_check;
  v_draw credits_private.draw;
  v_result credits.hold_credits_result;
begin
  perform credits_private.check_spending(p_account_id, p_amount, p_idempotency_key, p_api_key_id,
    p_operation, p_run_id, p_metadata);
  perform credits_private.hold_expires_at(p_account_id, '2000-01-01Z', p_expires_in);
  v_arguments := jsonb_build_object('amount', p_amount,
    'expires_in', case when p_expires_in <> interval '1 hour' then
      credits_private.interval_parts(p_expires_in) end,
    'api_key_id', p_api_key_id, 'operation', p_operation, 'run_id', p_run_id);

  v_request := credits_private.begin_request(
    p_account_id, p_idempotency_key, 'hold_credits', v_arguments, p_at, p_needs_open => true,
    p_old_fingerprint => case when extract(day from p_expires_in) <> 0 then
      credits_private.fingerprint('hold_credits', v_arguments || jsonb_build_object(
        'expires_in', credits_private.interval_parts(p_expires_in, true))) end);
  if v_request.answer is not null then
    return jsonb_populate_record(v_result, v_request.answer);
  end if;
  v_account := v_request.account;
  v_expires_at := credits_private.hold_expires_at(p_account_id, v_request.at, p_expires_in);
  if v_account.last_hold_id >= credits_private.most_at_once() then
    perform credits_private.check_room_for_hold(v_account);
  end if;

  if v_account.has_limits then
    v_check := credits_private.examine_limits(
      v_account, p_amount, p_api_key_id, p_operation, p_run_id, v_request.at);
    perform credits_private.raise_refusal(v_check.refusal);
  end if;
  if v_account.held + p_amount > credits_private.max_amount() then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_amount',
      'what is held must not exceed 9007199254740991',
      'Beyond 2^53 - 1 a number is not exact in JSON and JavaScript.');
  end if;
  v_draw := credits_private.draw_hold(v_account, p_amount, p_operation, v_request.at);

  v_account := credits_private.insert_hold(v_account, p_amount, v_expires_at, p_api_key_id,
    p_operation, p_run_id, p_metadata, v_request.at);
  -- The trigger on the parts changes what is held.
  perform credits_private.write_parts(v_account, v_account.last_hold_id, v_draw.grant_ids,
    v_draw.amounts, p_sign => 1, p_effective_at => v_request.at, p_created_at => v_request.at);

  v_result := (v_account.last_hold_id, p_amount, v_account.balance, v_draw.available_after, false,
    v_expires_at, v_check.exceeded_limits)::credits.hold_credits_result;
  -- Stored in UTC: as text in the session's time zone, the moment could become unreadable for good.
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint,
    p_transaction_id => null, p_available => v_draw.available_after,
    p_details => to_jsonb(v_result) || jsonb_build_object('expires_in', v_arguments -> 'expires_in',
      'expires_at', to_jsonb(v_expires_at at time zone 'UTC') #>> '{}' || 'Z'),
    p_has_keys => v_account.has_keys);
  return v_result;
end
$$;

create or replace function credits_private.release_hold_at(
  p_account_id text, p_hold_id bigint, p_idempotency_key text, p_at timestamptz
) returns credits.release_hold_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_request credits_private.request;
  v_account credits_private.account;
  v_hold credits_private.hold;
  v_result credits.release_hold_result;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_hold_id(p_account_id, p_hold_id);
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);

  v_request := credits_private.begin_request(p_account_id, p_idempotency_key, 'release_hold',
    jsonb_build_object('hold_id', p_hold_id), p_at);
  if v_request.answer is not null then
    return jsonb_populate_record(v_result, v_request.answer);
  end if;

  v_hold := credits_private.open_hold(p_account_id, p_hold_id);
  v_account := credits_private.resolve_hold(
    v_request.account, p_hold_id, 'released', v_request.at, v_request.at);

  v_result := (p_hold_id, v_hold.held, v_account.balance,
    credits_private.available_of(v_account, v_request.at), false
    )::credits.release_hold_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint,
    p_transaction_id => null, p_available => v_result.available,
    p_details => to_jsonb(v_result), p_has_keys => v_account.has_keys);
  return v_result;
end
$$;
