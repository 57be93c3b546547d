-- The parts of a batch.

create or replace function credits_private.check_batch(
  p_deductions jsonb, p_all_or_nothing boolean
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_deductions is null or jsonb_typeof(p_deductions) <> 'array'
    or jsonb_array_length(p_deductions) > 10000
  then
    perform credits_private.refuse_argument(null, 'p_deductions',
      'a batch must be a json array of at most 10000 deductions',
      'Pass objects such as {"account_id": "acme", "amount": 5, "idempotency_key": "r1"}.');
  elsif p_all_or_nothing is null then
    perform credits_private.check_id(null, 'p_all_or_nothing', null);
  end if;
end
$$;

revoke all on function credits_private.check_batch(jsonb, boolean) from public;

-- One deduction of a batch, answered. Nearly all are plain: that is seen in one expression.
create or replace function credits_private.book_item(p_item jsonb, p_at timestamptz)
returns credits_private.deduction
language plpgsql
set search_path = pg_temp
as $$
declare
  v_booked credits_private.deduction;
begin
  if (case when jsonb_typeof(p_item) = 'object' then
      jsonb_typeof(p_item -> 'account_id') = 'string'
      and jsonb_typeof(p_item -> 'idempotency_key') = 'string'
      and jsonb_typeof(p_item -> 'amount') = 'number' and p_item ->> 'amount' ~ '^[0-9]{1,16}$'
      and coalesce(jsonb_typeof(p_item -> 'api_key_id') = 'string', true)
      and coalesce(jsonb_typeof(p_item -> 'operation') = 'string', true)
      and coalesce(jsonb_typeof(p_item -> 'run_id') = 'string', true)
      and p_item - '{account_id,idempotency_key,amount,api_key_id,operation,run_id,metadata}'::text[]
        = '{}'
    end) is not true
  then
    v_booked.refusal := credits_private.refuse_item(p_item);
  end if;
  if (v_booked.refusal).code is null then
    -- By way of numeric: 5.0 is a whole number, too.
    v_booked := credits_private.book_deduction(p_item ->> 'account_id',
      (p_item ->> 'amount')::numeric::bigint, p_item ->> 'idempotency_key',
      p_item ->> 'api_key_id', p_item ->> 'operation', p_item ->> 'run_id',
      coalesce(p_item -> 'metadata', '{}'), p_at, false);
  end if;
  return v_booked;
end
$$;

revoke all on function credits_private.book_item(jsonb, timestamptz) from public;

-- A malformed deduction, raised; or, for a batch, a value (null if it is well-formed). Only what
-- checks the arguments is run to be caught: it writes nothing, and so its subtransaction costs next
-- to nothing.
create or replace function credits_private.check_deduction(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text,
  p_operation text, p_run_id text, p_metadata jsonb, p_raises boolean
) returns credits_private.refusal
language plpgsql
set search_path = pg_temp
as $$
declare
  v_code text;
  v_message text;
  v_detail text;
  v_hint text;
begin
  if p_raises then
    perform credits_private.check_spending(p_account_id, p_amount, p_idempotency_key,
      p_api_key_id, p_operation, p_run_id, p_metadata);
    return null;
  end if;
  begin
    perform credits_private.check_spending(p_account_id, p_amount, p_idempotency_key,
      p_api_key_id, p_operation, p_run_id, p_metadata);
    return null;
  exception
    when invalid_parameter_value then
      get stacked diagnostics v_code = returned_sqlstate, v_message = message_text,
        v_detail = pg_exception_detail, v_hint = pg_exception_hint;
      -- The name of the item, not of the argument of deduct_credits.
      return (v_code, v_message, v_detail::jsonb || jsonb_build_object(
        'argument', substr(v_detail::jsonb ->> 'argument', 3)), v_hint, null
        )::credits_private.refusal;
  end;
end
$$;

revoke all on function credits_private.check_deduction(
  text, bigint, text, text, text, text, jsonb, boolean) from public;

-- What can be wrong with an item before its values are looked at: its shape, its names, its types.
create or replace function credits_private.refuse_item(p_item jsonb)
returns credits_private.refusal
language plpgsql immutable
set search_path = pg_temp
as $$
declare
  v_name text;
begin
  if jsonb_typeof(p_item) <> 'object' then
    return ('22023', 'a deduction must be a json object', '{}', null, null)
      ::credits_private.refusal;
  end if;
  select i.key into v_name
  from jsonb_each(p_item) as i
  where case i.key
    when 'amount' then jsonb_typeof(i.value) <> 'null' and (jsonb_typeof(i.value) <> 'number'
      or (i.value #>> '{}')::numeric <> trunc((i.value #>> '{}')::numeric)
      or abs((i.value #>> '{}')::numeric) > 9223372036854775807)
    when 'metadata' then false
    else jsonb_typeof(i.value) not in ('string', 'null')
      or i.key not in ('account_id', 'idempotency_key', 'api_key_id', 'operation', 'run_id')
  end
  order by i.key collate "C"
  limit 1;
  if found then
    return ('22023', 'a deduction has an unknown name or a value of another type',
      jsonb_build_object('account_id', left(p_item ->> 'account_id', 255), 'argument', v_name),
      null, null)::credits_private.refusal;
  end if;
  return null;
end
$$;

revoke all on function credits_private.refuse_item(jsonb) from public;

-- The detail as raise_error would have it.
create or replace function credits_private.refusal_detail(p_refusal credits_private.refusal)
returns jsonb
language sql immutable
set search_path = pg_temp
as $$
  select jsonb_strip_nulls(
    p_refusal.detail || jsonb_build_object('invariant', p_refusal.invariant))
$$;

revoke all on function credits_private.refusal_detail(credits_private.refusal) from public;
