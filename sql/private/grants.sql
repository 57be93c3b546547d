-- What grant_credits checks and what it shares with a refund to an expired grant.

-- A scope in one form: each operation once, in order. So the order in which a caller lists them
-- does not make it another request.
create or replace function credits_private.distinct_operations(
  p_account_id text, p_operations text[]
) returns text[]
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  if p_operations is null then
    return null;
  elsif cardinality(p_operations) not between 1 and 100 then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_operations',
      'a scope must have 1 to 100 operations', 'Leave p_operations out for a grant without scope.');
  end if;
  perform credits_private.check_id(p_account_id, 'p_operations', o.operation)
  from unnest(p_operations) as o (operation);
  return array(select distinct o.operation collate "C" from unnest(p_operations) as o (operation)
    order by 1);
end
$$;

create or replace function credits_private.check_grant(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_source text, p_priority int,
  p_expires_at timestamptz, p_effective_at timestamptz, p_paid_amount bigint,
  p_paid_currency text, p_metadata jsonb, p_expires_in interval
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_amount(p_account_id, 'p_amount', p_amount);
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);
  perform credits_private.check_id(p_account_id, 'p_source', p_source);
  perform credits_private.require_value(p_account_id, 'p_priority', p_priority::text);
  perform credits_private.check_id(p_account_id, 'p_paid_currency', p_paid_currency,
    p_optional => true);
  perform credits_private.check_metadata(p_account_id, p_metadata);
  -- Beyond this, a time in microseconds does not fit in a bigint.
  if greatest(p_expires_at, p_effective_at) > '290000-01-01Z'
    or least(p_expires_at, p_effective_at) = '-infinity'
  then
    perform credits_private.raise_invalid_argument(p_account_id,
      case when p_expires_at > '290000-01-01Z' or p_expires_at = '-infinity'
        then 'p_expires_at' else 'p_effective_at' end,
      'a time must be finite, and before the year 290000',
      'Leave p_expires_at out for a grant that never expires.');
  elsif p_expires_at is not null and p_expires_in is not null then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_expires_in',
      'an expiry is a moment or an interval', 'Pass p_expires_at or p_expires_in, not both.');
  elsif p_paid_amount not between 0 and credits_private.max_amount()
    or (p_paid_amount is null) <> (p_paid_currency is null)
  then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_paid_amount',
      'a payment must have an amount of 0 to 9007199254740991 and a currency',
      'Pass both, or neither.');
  end if;
  perform credits_private.grant_expires_at(p_account_id, '2000-01-01Z', p_expires_in);
end
$$;

-- When a grant that takes effect at p_at expires; null for no interval.
create or replace function credits_private.grant_expires_at(
  p_account_id text, p_at timestamptz, p_expires_in interval
) returns timestamptz
language plpgsql
set search_path = pg_temp
as $$
declare
  v_expires_at timestamptz := credits_private.moment_after(p_at, p_expires_in);
begin
  if p_expires_in is not null and (v_expires_at > p_at) is not true then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_expires_in',
      'a grant must last for some time, and not beyond the year 290000',
      'Pass an interval such as 30 days, or leave it out for a grant that never expires.');
  end if;
  return v_expires_at;
end
$$;

-- Only for a new request: a replay is answered however late it comes.
create or replace function credits_private.check_grant_times(
  p_account_id text, p_expires_at timestamptz, p_effective_at timestamptz, p_at timestamptz
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_expires_at <= greatest(p_at, p_effective_at) then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_expires_at',
      'a grant must expire after it takes effect, and in the future', 'Pass a later p_expires_at.');
  end if;
end
$$;

-- The total of all grants, debt aside, stays exact in JSON, and so does any part of it, held or
-- scoped. Scheduled grants count: it must be possible to book them when they are due.
create or replace function credits_private.check_balance(
  p_account credits_private.account, p_amount bigint
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_scheduled bigint := (
    select coalesce(sum(g.amount), 0)
    from credits_private.grants as g
    where g.account_id = p_account.account_id and g.is_scheduled);
begin
  if p_account.balance + p_account.debt + v_scheduled + p_amount > credits_private.max_amount() then
    perform credits_private.raise_error('22023', 'a balance must not exceed 9007199254740991',
      jsonb_build_object('account_id', p_account.account_id, 'argument', 'p_amount',
        'requested', p_amount, 'balance', p_account.balance, 'debt', nullif(p_account.debt, 0),
        'scheduled', nullif(v_scheduled, 0)),
      'Beyond 2^53 - 1 a number is not exact in JSON and JavaScript.');
  end if;
end
$$;

-- Adds an empty grant: its entry fills it, at once or when it is due. Returns the account with the
-- new grant's number in last_grant_id, and due when the grant begins or expires, if that comes
-- first. The grant's row is inserted before last_grant_id is raised, because a guard requires the
-- row.
create or replace function credits_private.insert_grant(
  p_account credits_private.account, p_amount bigint, p_source text, p_priority int,
  p_operations text[], p_effective_at timestamptz, p_expires_at timestamptz,
  p_origin_grant_id bigint, p_paid_amount bigint, p_paid_currency text, p_metadata jsonb,
  p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.grants (
    account_id, grant_id, amount, source, priority, operations, effective_at, expires_at,
    created_at, origin_grant_id, paid_amount, paid_currency, metadata, is_scheduled
  ) values (
    p_account.account_id, p_account.last_grant_id + 1, p_amount, p_source, p_priority,
    p_operations, p_effective_at, p_expires_at, p_at, p_origin_grant_id, p_paid_amount,
    p_paid_currency, p_metadata, p_effective_at > p_at
  );

  update credits_private.accounts as a
  set
    last_grant_id = a.last_grant_id + 1,
    due_at = least(a.due_at, p_expires_at, case when p_effective_at > p_at then p_effective_at end),
    last_created_at = p_at
  where a.account_id = p_account.account_id
  returning a.* into p_account;
  return p_account;
end
$$;

-- Books the entry of an account's newest grant, which begins at once, and what its credit repays.
create or replace function credits_private.book_grant(
  p_account credits_private.account, p_amount bigint, p_idempotency_key text, p_metadata jsonb,
  p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_entry credits_private.entry;
begin
  v_entry.kind := 'grant';
  v_entry.effective_at := p_at;
  v_entry.created_at := p_at;
  v_entry.idempotency_key := p_idempotency_key;
  v_entry.metadata := nullif(p_metadata, '{}');
  p_account := credits_private.write_entries(
    p_account, v_entry, array[p_account.last_grant_id], array[p_amount]);
  return credits_private.tidy(p_account, p_grant_ids => '{}', p_amounts => '{}',
    p_effective_at => p_at, p_created_at => p_at);
end
$$;

-- The answer to a key that was used before. The grant's row says when the grant expires.
create or replace function credits_private.replay_grant(p_account_id text, p_answer jsonb)
returns credits.grant_credits_result
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_result credits.grant_credits_result;
begin
  v_result.repaid := 0;
  v_result := jsonb_populate_record(v_result, p_answer);
  v_result.expires_at := (
    select g.expires_at
    from credits_private.grants as g
    where g.account_id = p_account_id and g.grant_id = v_result.grant_id);
  return v_result;
end
$$;

create or replace function credits_private.grant_credits_at(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_source text, p_priority int,
  p_expires_at timestamptz, p_effective_at timestamptz, p_operations text[], p_paid_amount bigint,
  p_paid_currency text, p_metadata jsonb, p_expires_in interval, p_at timestamptz
) returns credits.grant_credits_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_operations text[] := credits_private.distinct_operations(p_account_id, p_operations);
  v_arguments jsonb;
  v_request credits_private.request;
  v_account credits_private.account;
  v_at timestamptz;
  v_expires_at timestamptz;
  v_transaction_id bigint;
  v_result credits.grant_credits_result;
begin
  perform credits_private.check_grant(p_account_id, p_amount, p_idempotency_key, p_source,
    p_priority, p_expires_at, p_effective_at, p_paid_amount, p_paid_currency, p_metadata,
    p_expires_in);
  v_arguments := jsonb_build_object(
    'amount', p_amount, 'source', nullif(p_source, 'purchase'),
    'priority', nullif(p_priority, 100), 'operations', v_operations,
    'expires_at', credits_private.microseconds(p_expires_at),
    'expires_in', credits_private.interval_parts(p_expires_in),
    'effective_at', credits_private.microseconds(p_effective_at),
    'paid_amount', p_paid_amount, 'paid_currency', p_paid_currency);

  perform from credits_private.accounts as a where a.account_id = p_account_id;
  if not found then
    perform credits_private.insert_account(p_account_id, 'credit', p_scale => 0,
      p_time_zone => 'UTC', p_anchor_day => 1, p_metadata => '{}',
      p_at => coalesce(p_at, clock_timestamp()));
  end if;
  v_request := credits_private.begin_request(
    p_account_id, p_idempotency_key, 'grant_credits', v_arguments, p_at, p_needs_open => true);
  if v_request.answer is not null then
    return credits_private.replay_grant(p_account_id, v_request.answer);
  end if;

  v_account := v_request.account;
  v_at := v_request.at;
  v_expires_at := coalesce(p_expires_at, credits_private.grant_expires_at(
    p_account_id, coalesce(p_effective_at, v_at), p_expires_in));
  perform credits_private.check_grant_times(p_account_id, v_expires_at, p_effective_at, v_at);
  perform credits_private.check_balance(v_account, p_amount);
  perform credits_private.check_room_for_grant(v_account);

  v_account := credits_private.insert_grant(v_account, p_amount, p_source, p_priority,
    v_operations, coalesce(p_effective_at, v_at), v_expires_at, p_origin_grant_id => null,
    p_paid_amount => p_paid_amount, p_paid_currency => p_paid_currency, p_metadata => p_metadata,
    p_at => v_at);
  if coalesce(p_effective_at, v_at) <= v_at then
    v_transaction_id := v_account.last_entry_id + 1;
    v_account := credits_private.book_grant(
      v_account, p_amount, p_idempotency_key, p_metadata, v_at);
  end if;

  v_result := (v_account.last_grant_id, v_transaction_id, p_amount, v_account.balance,
    credits_private.available(p_account_id, null, v_at), false,
    coalesce(credits_private.repaid(p_account_id, v_transaction_id), 0), v_expires_at
    )::credits.grant_credits_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint,
    v_transaction_id, v_result.available, to_jsonb(v_result) - 'expires_at'
      || jsonb_build_object('expires_in', v_arguments -> 'expires_in'));
  return v_result;
end
$$;
