-- Books the credits that an app kept by itself as if it had called us from the beginning, with the
-- functions that callers have, at the old moments. `pg-credits adopt` and the shadow of an app's
-- own table call these as the owner; nobody else can. What the app has booked has happened: a debit
-- that the balance did not cover becomes debt, whatever the overdraft limit is.

-- Whether an account is unused, judged by its columns: it may be open and have settings, but no
-- limits.
create or replace function credits_private.is_unused(
  p_last_entry_id bigint, p_last_grant_id bigint, p_last_hold_id bigint, p_has_limits boolean,
  p_closed_at timestamptz
) returns boolean
language sql immutable
set search_path = pg_temp
as $$
  select p_last_entry_id = 0 and p_last_grant_id = 0 and p_last_hold_id = 0 and not p_has_limits
    and p_closed_at is null
$$;

-- Opens an account unless it exists, and locks it, so that later statements see whatever the app
-- writes under that lock. Returns whether an import may begin: the account is unused.
create or replace function credits_private.begin_import(p_account_id text)
returns boolean
language plpgsql
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
declare
  v_account credits_private.account;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.insert_account(
    p_account_id, 'credit', p_scale => 0, p_time_zone => 'UTC', p_anchor_day => 1,
    p_metadata => '{}', p_at => clock_timestamp());
  v_account := credits_private.lock_account(p_account_id);
  return credits_private.is_unused(v_account.last_entry_id, v_account.last_grant_id,
    v_account.last_hold_id, v_account.has_limits, v_account.closed_at);
end
$$;

-- Gives an unused account its settings (null changes nothing), and lets it begin at p_at, if that
-- is earlier than its opening by begin_import, a shadow or hand.
create or replace function credits_private.set_beginning(
  p_account_id text, p_unit text, p_scale int, p_time_zone text, p_anchor_day int, p_at timestamptz
) returns void
language plpgsql
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
declare
  v_account credits_private.account := credits_private.lock_account(p_account_id);
  v_at timestamptz := least(p_at, v_account.last_created_at);
begin
  if not credits_private.is_unused(v_account.last_entry_id, v_account.last_grant_id,
    v_account.last_hold_id, v_account.has_limits, v_account.closed_at)
  then
    perform credits_private.raise_error('PT409', 'only an unused account can begin earlier',
      jsonb_build_object('account_id', p_account_id, 'entries', v_account.last_entry_id),
      'Import before anything else is done with the account.');
  end if;
  if num_nonnulls(p_unit, p_scale, p_time_zone, p_anchor_day) > 0 then
    perform credits_private.open_account_at(p_account_id, p_unit, p_scale,
      p_overdraft_limit => null, p_time_zone => p_time_zone, p_anchor_day => p_anchor_day,
      p_metadata => null, p_at => v_account.last_created_at);
  end if;

  -- Nothing has been booked into its period, so it starts anew, in the account's present time zone.
  update credits_private.accounts as a
  set
    opened_at = least(a.opened_at, v_at),
    last_created_at = v_at,
    period = '-infinity',
    next_period = '-infinity',
    period_ends_at = '-infinity'
  where a.account_id = p_account_id
  returning a.* into v_account;
  perform credits_private.advance_account(v_account, v_at);
end
$$;

-- Books an account's opening balance and what its figures differ by (0 books nothing), and notes in
-- its metadata what was found. Returns how many entries the account has.
create or replace function credits_private.end_import(
  p_account_id text, p_opening bigint, p_difference bigint, p_found jsonb
) returns bigint
language plpgsql
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
declare
  v_account credits_private.account;
  v_metadata jsonb;
begin
  perform credits_private.import_balance(
    p_account_id, p_opening, 'opening', 'adoption opening', p_found, p_at => null);
  perform credits_private.import_balance(p_account_id, p_difference, 'adoption difference',
    'adoption difference', p_found, p_at => null);

  v_account := credits_private.lock_account(p_account_id);
  v_metadata := coalesce((
    select m.metadata
    from credits_private.account_metadata as m
    where m.account_id = p_account_id), '{}') || jsonb_build_object('adoption', p_found);
  perform credits_private.check_metadata(p_account_id, v_metadata);
  perform credits_private.keep_account_metadata(p_account_id, v_metadata);
  return v_account.last_entry_id;
end
$$;

-- Cuts a label to what is allowed: whole characters, at most 255 bytes.
create or replace function credits_private.shorten(p_label text) returns text
language sql immutable
set search_path = pg_temp
as $$
  select case when octet_length(p_label) <= 255 then p_label
    else left(p_label, (
      select max(n) from generate_series(1, 255) as n where octet_length(left(p_label, n)) <= 255))
  end
$$;

-- Books one transaction of the app, once, under the account's lock, and returns ours; null for an
-- amount of 0. It is booked neither in the future nor before what is booked already: if the app's
-- moment is, the metadata keeps it. A kind, operation or run id that is too long is cut, and the
-- metadata keeps 400 characters of it.
create or replace function credits_private.import_transaction(
  p_account_id text, p_transaction_id text, p_amount bigint, p_at timestamptz, p_is_refund boolean,
  p_refunded_transaction_id text, p_kind text, p_api_key_id text, p_operation text, p_run_id text,
  p_metadata jsonb
) returns bigint
language plpgsql
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
declare
  v_at timestamptz := greatest(least(p_at, clock_timestamp()), (
    select a.last_created_at
    from credits_private.accounts as a
    where a.account_id = p_account_id));
  v_key text := 'legacy ' || p_transaction_id;
  v_kind text := nullif(p_kind, '');
  v_operation text := nullif(p_operation, '');
  v_run_id text := nullif(p_run_id, '');
  v_metadata jsonb := coalesce(p_metadata, '{}');
begin
  if p_amount = 0 then
    return null;
  end if;
  if greatest(octet_length(p_kind), octet_length(p_operation), octet_length(p_run_id)) > 255 then
    v_metadata := v_metadata || (
      select jsonb_object_agg('legacy_' || l.name, left(l.label, 400))
      from (values ('kind', p_kind), ('operation', p_operation), ('run_id', p_run_id))
        as l (name, label)
      where octet_length(l.label) > 255);
    v_kind := credits_private.shorten(v_kind);
    v_operation := credits_private.shorten(v_operation);
    v_run_id := credits_private.shorten(v_run_id);
  end if;
  if v_at <> p_at then
    v_metadata := v_metadata || jsonb_build_object(
      'legacy_created_at', to_jsonb(p_at at time zone 'UTC') #>> '{}' || 'Z');
  end if;

  if p_amount < 0 then
    -- Large enough to be refused, but not so large that a bigint cannot be negated.
    return credits_private.import_deduction(p_account_id, -greatest(p_amount, -9007199254740992),
      v_key, nullif(p_api_key_id, ''), v_operation, v_run_id, v_metadata, v_at);
  elsif p_is_refund then
    return credits_private.import_refund(p_account_id, p_amount, v_key, p_refunded_transaction_id,
      coalesce(v_kind, 'refund'), v_metadata, v_at);
  end if;
  return credits_private.import_grant(
    p_account_id, p_amount, v_key, coalesce(v_kind, 'legacy'), v_metadata, v_at);
end
$$;

-- Books an array of them, in order, as objects with the arguments of import_transaction:
-- transaction_id, amount, created_at, … Returns how many there were.
create or replace function credits_private.import_transactions(
  p_account_id text, p_transactions jsonb
) returns int
language plpgsql
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
declare
  v_transaction record;
  v_count int := 0;
begin
  for v_transaction in
    select t.*
    from jsonb_to_recordset(p_transactions) as t (
      transaction_id text, amount bigint, created_at timestamptz, is_refund boolean,
      refunded_transaction_id text, kind text, api_key_id text, operation text, run_id text,
      metadata jsonb)
  loop
    perform credits_private.import_transaction(p_account_id, v_transaction.transaction_id,
      v_transaction.amount, v_transaction.created_at, v_transaction.is_refund,
      v_transaction.refunded_transaction_id, v_transaction.kind, v_transaction.api_key_id,
      v_transaction.operation, v_transaction.run_id, v_transaction.metadata);
    v_count := v_count + 1;
  end loop;
  return v_count;
end
$$;

-- Books an opening balance, a difference or a correction: a positive amount is a grant of that
-- source, a negative one a deduction for that operation, and zero is nothing.
create or replace function credits_private.import_balance(
  p_account_id text, p_amount bigint, p_source text, p_idempotency_key text, p_metadata jsonb,
  p_at timestamptz
) returns bigint
language plpgsql
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  if p_amount = 0 then
    return null;
  elsif p_amount < 0 then
    return credits_private.import_deduction(p_account_id, -greatest(p_amount, -9007199254740992),
      p_idempotency_key, p_api_key_id => null, p_operation => p_source, p_run_id => null,
      p_metadata => coalesce(p_metadata, '{}'), p_at => p_at);
  end if;
  return credits_private.import_grant(
    p_account_id, p_amount, p_idempotency_key, p_source, coalesce(p_metadata, '{}'), p_at);
end
$$;

create or replace function credits_private.import_grant(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_source text, p_metadata jsonb,
  p_at timestamptz
) returns bigint
language plpgsql
set search_path = pg_temp
as $$
begin
  return (credits_private.grant_credits_at(p_account_id, p_amount, p_idempotency_key, p_source,
    p_priority => 100, p_expires_at => null, p_effective_at => null, p_operations => null,
    p_paid_amount => null, p_paid_currency => null, p_metadata => p_metadata,
    p_expires_in => null, p_at => p_at)).transaction_id;
end
$$;

-- Books a deduction. If not enough is available, the overdraft limit is raised just as far as this
-- one needs, and then set back.
create or replace function credits_private.import_deduction(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text, p_operation text,
  p_run_id text, p_metadata jsonb, p_at timestamptz
) returns bigint
language plpgsql
set search_path = pg_temp
as $$
declare
  v_deduction credits_private.deduction := credits_private.deduct(p_account_id, p_amount,
    p_idempotency_key, p_api_key_id, p_operation, p_run_id, p_metadata, p_at, p_raises => false);
  v_account credits_private.account;
  v_overdraft_limit bigint;
begin
  if (v_deduction.refusal).code = 'PT402' then
    v_account := credits_private.lock_account(p_account_id);
    v_overdraft_limit := greatest(v_account.overdraft_limit,
      v_account.debt + v_account.overdraft_held)
      + p_amount - ((v_deduction.refusal).detail ->> 'available')::bigint;
    if v_overdraft_limit > credits_private.max_amount() then
      perform credits_private.raise_invalid_argument(p_account_id, 'p_amount',
        'a debt must not exceed 9007199254740991',
        'Beyond 2^53 - 1 a number is not exact in JSON and JavaScript.');
    end if;
    update credits_private.accounts as a
    set overdraft_limit = v_overdraft_limit
    where a.account_id = p_account_id;
    v_deduction := credits_private.deduct(p_account_id, p_amount, p_idempotency_key,
      p_api_key_id, p_operation, p_run_id, p_metadata, p_at, p_raises => false);
    update credits_private.accounts as a
    set overdraft_limit = v_account.overdraft_limit
    where a.account_id = p_account_id;
  end if;
  perform credits_private.raise_refusal(v_deduction.refusal);
  return (v_deduction.result).transaction_id;
end
$$;

-- Books a refund of a deduction that was imported before and has enough left; of anything else, a
-- grant, which notes what it was a refund of.
create or replace function credits_private.import_refund(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_refunded_transaction_id text,
  p_source text, p_metadata jsonb, p_at timestamptz
) returns bigint
language plpgsql
set search_path = pg_temp
as $$
declare
  v_original_id bigint := credits_private.imported_original(
    p_account_id, p_idempotency_key, p_refunded_transaction_id, p_amount);
begin
  if v_original_id is not null then
    return (credits_private.refund_credits_at(p_account_id, v_original_id, p_idempotency_key,
      p_amount, p_metadata, p_at)).transaction_id;
  end if;
  return credits_private.import_grant(p_account_id, p_amount, p_idempotency_key, p_source,
    p_metadata || jsonb_strip_nulls(
      jsonb_build_object('legacy_refund_of', p_refunded_transaction_id)), p_at);
end
$$;

-- The original of a refund: what a booked refund gave back, to recognise a repeat; or what a new
-- one can give back.
create or replace function credits_private.imported_original(
  p_account_id text, p_idempotency_key text, p_refunded_transaction_id text, p_amount bigint
) returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_original_id bigint;
begin
  select e.refunded_transaction_id into v_original_id
  from credits_private.entries as e
  where e.account_id = p_account_id and e.idempotency_key = p_idempotency_key;
  if found then
    return v_original_id;
  end if;

  select e.transaction_id into v_original_id
  from credits_private.entries as e
  where e.account_id = p_account_id
    and e.idempotency_key = 'legacy ' || p_refunded_transaction_id
    and e.kind = 'deduction'
    and p_amount <= (
      select sum(r.refundable)
      from credits_private.refundable_entries(p_account_id, e.transaction_id) as r);
  return v_original_id;
end
$$;
