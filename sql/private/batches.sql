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
    perform credits_private.raise_invalid_argument(null, 'p_deductions',
      'a batch must be a json array of at most 10000 deductions',
      'Pass objects such as {"account_id": "acme", "amount": 5, "idempotency_key": "r1"}.');
  end if;
  perform credits_private.require_value(null, 'p_all_or_nothing', p_all_or_nothing::text);
end
$$;

-- Books one deduction of a batch, and returns its answer.
create or replace function credits_private.book_item(p_item jsonb, p_at timestamptz)
returns credits_private.deduction
language plpgsql
set search_path = pg_temp
as $$
declare
  v_booked credits_private.deduction;
begin
  v_booked.refusal := credits_private.item_refusal(p_item);
  if (v_booked.refusal).code is null then
    -- Through numeric, because 5.0 is a whole number, too.
    v_booked := credits_private.deduct(p_item ->> 'account_id',
      (p_item ->> 'amount')::numeric::bigint, p_item ->> 'idempotency_key',
      p_item ->> 'api_key_id', p_item ->> 'operation', p_item ->> 'run_id',
      coalesce(p_item -> 'metadata', '{}'), p_at, p_raises => false);
  end if;
  return v_booked;
end
$$;

-- The refusal of a malformed deduction: raised, or for a batch a value (null if the deduction is
-- well-formed). Only the checks of the arguments run inside the exception block: they write
-- nothing, so its subtransaction costs next to nothing.
create or replace function credits_private.deduction_refusal(
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
      p_api_key_id, p_operation, p_run_id, p_metadata, p_least => 0);
    return null;
  end if;
  begin
    perform credits_private.check_spending(p_account_id, p_amount, p_idempotency_key,
      p_api_key_id, p_operation, p_run_id, p_metadata, p_least => 0);
    return null;
  exception
    when invalid_parameter_value then
      get stacked diagnostics v_code = returned_sqlstate, v_message = message_text,
        v_detail = pg_exception_detail, v_hint = pg_exception_hint;
      -- The item's name for it, not the argument's name in deduct_credits.
      return (v_code, v_message, v_detail::jsonb || jsonb_build_object(
        'argument', substr(v_detail::jsonb ->> 'argument', 3)), v_hint, null
        )::credits_private.refusal;
  end;
end
$$;

-- The refusal of an item for its shape, its names or its types, before its values are looked at.
create or replace function credits_private.item_refusal(p_item jsonb)
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

-- The detail that raise_error would raise.
create or replace function credits_private.refusal_detail(p_refusal credits_private.refusal)
returns jsonb
language sql immutable
set search_path = pg_temp
as $$
  select jsonb_strip_nulls(
    p_refusal.detail || jsonb_build_object('invariant', p_refusal.invariant))
$$;

-- Whether any of an account's deductions in a batch could end otherwise than by taking its amount
-- from p_free: it is malformed or 0, its key is known or comes twice, or it is not covered.
create or replace function credits_private.is_in_the_way(
  p_account_id text, p_items jsonb, p_free bigint, p_has_keys boolean
) returns boolean
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_items record;
begin
  if exists (
    select from jsonb_array_elements(p_items) as i (value)
    where (jsonb_typeof(i.value -> 'account_id') = 'string'
      and jsonb_typeof(i.value -> 'idempotency_key') = 'string'
      and jsonb_typeof(i.value -> 'amount') = 'number' and i.value ->> 'amount' ~ '^[0-9]{1,16}$'
      and coalesce(jsonb_typeof(i.value -> 'api_key_id') in ('string', 'null'), true)
      and coalesce(jsonb_typeof(i.value -> 'operation') in ('string', 'null'), true)
      and coalesce(jsonb_typeof(i.value -> 'run_id') in ('string', 'null'), true)
      and coalesce(jsonb_typeof(i.value -> 'metadata') = 'object', true)
      and i.value - array['account_id', 'idempotency_key', 'amount', 'api_key_id', 'operation',
        'run_id', 'metadata'] = '{}') is not true)
  then
    return true;
  end if;

  select sum(i.amount) as amount, array_agg(i.idempotency_key) as keys,
    count(*) = count(distinct i.idempotency_key) and bool_and(
      i.amount between 1 and credits_private.max_amount()
      and octet_length(i.idempotency_key) between 1 and 255
      and octet_length(coalesce(i.api_key_id, '-')) between 1 and 255
      and octet_length(coalesce(i.operation, '-')) between 1 and 255
      and octet_length(coalesce(i.run_id, '-')) between 1 and 255
      and octet_length(coalesce(i.metadata::text, '')) <= 8192) as are_distinct
  into v_items
  from jsonb_to_recordset(p_items) as i (amount bigint, idempotency_key text, api_key_id text,
    operation text, run_id text, metadata jsonb);
  -- Looks for each key at the first one that is not before it. Only the index on keys has that
  -- order, so Postgres takes no other one, however few entries it expects of the account.
  return v_items.amount > p_free or not v_items.are_distinct
    or exists (
      select from unnest(v_items.keys) as i (idempotency_key)
      cross join lateral (
        select e.idempotency_key
        from credits_private.entries as e
        where e.account_id = p_account_id and e.idempotency_key >= i.idempotency_key
        order by e.idempotency_key
        limit 1
      ) as e
      where e.idempotency_key = i.idempotency_key)
    or p_has_keys and exists (
      select from unnest(v_items.keys) as i (idempotency_key)
      cross join lateral (
        select from credits_private.idempotency_keys as k
        where k.account_id = p_account_id and k.idempotency_key = i.idempotency_key
        limit 1
      ) as k);
end
$$;

-- What each of an account's deductions in a batch draws on. The amounts and the grants, in
-- burn-down order, are laid side by side on one line: wherever two overlap, there is an entry. upto
-- is where the deduction ends on the line, and drawn is where the entry ends.
create or replace function credits_private.parts_of_items(
  p_account_id text, p_items jsonb, p_at timestamptz
) returns table (
  deduction int, idempotency_key text, amount bigint, api_key_id text, operation text,
  run_id text, metadata jsonb, upto bigint, grant_id bigint, part bigint, drawn bigint, nth int,
  entry_count int
)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return query
  with item as (
    select i.*, sum(i.amount) over (order by i.n) as upto
    from rows from (jsonb_to_recordset(p_items) as (amount bigint, idempotency_key text,
      api_key_id text, operation text, run_id text, metadata jsonb)) with ordinality
      as i (amount, idempotency_key, api_key_id, operation, run_id, metadata, n)
  ), free as (
    select g.grant_id, g.remaining - g.held as amount,
      sum(g.remaining - g.held) over (order by g.priority, g.expires_at nulls last,
        g.source = 'purchase', g.effective_at, g.grant_id) as upto
    from credits_private.remainders as g
    where g.account_id = p_account_id and g.is_open and g.remaining > g.held
      and (g.expires_at is null or g.expires_at > p_at)
  )
  select i.n::int, i.idempotency_key, i.amount, i.api_key_id, i.operation, i.run_id, i.metadata,
    i.upto::bigint, f.grant_id,
    (least(i.upto, f.upto) - greatest(i.upto - i.amount, f.upto - f.amount))::bigint,
    least(i.upto, f.upto)::bigint, (row_number() over (partition by i.n order by f.upto))::int,
    (count(*) over (partition by i.n))::int
  from item as i
  join free as f on f.upto > i.upto - i.amount and f.upto - f.amount < i.upto
  order by i.n, f.upto;
end
$$;

-- Books an account's deductions of a batch in one statement, each as it would be by itself. Where
-- anything can interfere (see is_in_the_way; or limits, anything due, a scope), it books nothing
-- and returns no row, and the caller books them one by one.
create or replace function credits_private.book_items(
  p_account_id text, p_items jsonb, p_at timestamptz
) returns setof credits_private.booked_item
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
  v_at timestamptz;
  v_free record;
  v_available bigint;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id
  for no key update;
  v_at := greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at);
  if (v_account.has_limits or v_account.due_at <= v_at or v_account.closed_at is not null)
    is not false
  then
    return;
  end if;

  select sum(g.remaining - g.held)::bigint as amount, bool_or(g.operations is not null) as is_scoped
  into v_free
  from credits_private.remainders as g
  where g.account_id = p_account_id and g.is_open
    and (g.expires_at is null or g.expires_at > v_at);
  if v_free.is_scoped is not false
    or credits_private.is_in_the_way(
      p_account_id, p_items, v_free.amount, v_account.has_keys)
  then
    return;
  end if;
  v_available := v_free.amount + credits_private.overdraft(v_account);

  return query
  with part as (
    select p.*, v_account.last_entry_id + row_number() over (
      order by p.deduction, p.nth) as entry_id,
      v_account.balance - p.upto as balance, count(*) over () as entries,
      least(v_available - p.upto, credits_private.max_amount()) as available
    from credits_private.parts_of_items(p_account_id, p_items, v_at) as p
  ), written as (
    insert into credits_private.entries (
      account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount, balance_after,
      period, effective_at, created_at, api_key_id, operation, run_id, idempotency_key, metadata,
      available, statement_entries
    )
    select p_account_id, p.entry_id, p.entry_id - p.nth + 1, p.entry_count, 'deduction', p.grant_id,
      -p.part, v_account.balance - p.drawn, v_account.period, v_at, v_at, p.api_key_id, p.operation,
      p.run_id, case when p.nth = 1 then p.idempotency_key end,
      case when p.nth = 1 then nullif(p.metadata, '{}') end,
      case when p.nth = 1 then nullif(p.available, p.balance) end,
      case when p.entry_id = v_account.last_entry_id + 1 then p.entries else 0 end
    from part as p
    order by p.entry_id
  )
  select p.deduction, p.idempotency_key, p.entry_id, p.amount, p.balance, p.available
  from part as p
  where p.nth = 1;
end
$$;

-- Books an account's deductions of a batch, and returns their answers, numbered as in p_items.
create or replace function credits_private.book_account(
  p_account_id text, p_items jsonb, p_at timestamptz
) returns setof credits.deduct_credits_batch_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_item record;
  v_booked credits_private.deduction;
begin
  if jsonb_array_length(p_items) > 1 then
    return query
    select b.deduction, p_account_id, b.idempotency_key, b.transaction_id, b.amount, b.balance,
      b.available, false, null::text[], null::text, null::text, null::jsonb, 0::bigint
    from credits_private.book_items(p_account_id, p_items, p_at) as b;
    if found then
      return;
    end if;
  end if;

  for v_item in
    select i.value, i.ordinality::int as n
    from jsonb_array_elements(p_items) with ordinality as i
    order by i.ordinality
  loop
    v_booked := credits_private.book_item(v_item.value, p_at);
    return next (v_item.n, p_account_id, v_item.value ->> 'idempotency_key',
      (v_booked.result).transaction_id, (v_booked.result).amount, (v_booked.result).balance,
      (v_booked.result).available, (v_booked.result).replayed, (v_booked.result).exceeded_limits,
      (v_booked.refusal).code, (v_booked.refusal).message,
      case when (v_booked.refusal).code is not null then
        credits_private.refusal_detail(v_booked.refusal) end, (v_booked.result).refunded
      )::credits.deduct_credits_batch_result;
  end loop;
end
$$;

-- Goes account by account in ascending order, and locks each before the first of its deductions, so
-- that two batches in opposite order never wait for each other in a circle. Within an account, it
-- keeps the caller's order. A refusal is a value here, not an error that is caught: ten thousand
-- deductions need no subtransactions. What was settled stays booked, as in any call that gets an
-- answer.
create or replace function credits_private.deduct_batch(
  p_deductions jsonb, p_all_or_nothing boolean, p_at timestamptz
) returns setof credits.deduct_credits_batch_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_of_account record;
  v_result credits.deduct_credits_batch_result;
  v_results credits.deduct_credits_batch_result[];
  v_refusal credits_private.refusal;
begin
  perform credits_private.check_batch(p_deductions, p_all_or_nothing);

  for v_of_account in
    select d.account_id, jsonb_agg(d.value order by d.n) as items, array_agg(d.n order by d.n) as ns
    from (
      select d.value, d.ordinality::int as n, d.value ->> 'account_id' as account_id
      from jsonb_array_elements(p_deductions) with ordinality as d
    ) as d
    group by d.account_id
    -- Only the order is by bytes: an account_id with another collation would find no index.
    order by d.account_id collate "C"
  loop
    for v_result in
      select r.*
      from credits_private.book_account(v_of_account.account_id, v_of_account.items, p_at) as r
    loop
      v_result.deduction := v_of_account.ns[v_result.deduction];
      v_results[v_result.deduction] := v_result;
    end loop;
  end loop;

  if p_all_or_nothing then
    for v_n in 1 .. jsonb_array_length(p_deductions) loop
      if v_results[v_n].error_code is not null then
        v_refusal := (v_results[v_n].error_code, v_results[v_n].error_message,
          v_results[v_n].error_detail || jsonb_build_object('deduction', v_n),
          'Nothing of the batch was booked: fix this deduction or leave it out.',
          v_results[v_n].error_detail ->> 'invariant')::credits_private.refusal;
        perform credits_private.raise_refusal(v_refusal);
      end if;
    end loop;
  end if;
  return query select r.* from unnest(v_results) as r;
end
$$;
