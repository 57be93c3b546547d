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

-- The refusal of an item that is not usual; null if it is well-formed nevertheless.
create or replace function credits_private.malformed_item_refusal(p_item jsonb)
returns credits_private.refusal
language plpgsql
set search_path = pg_temp
as $$
declare
  v_refusal credits_private.refusal := credits_private.item_refusal(p_item);
begin
  if v_refusal.code is not null then
    return v_refusal;
  end if;
  return credits_private.deduction_refusal(p_item ->> 'account_id',
    (p_item ->> 'amount')::numeric::bigint, p_item ->> 'idempotency_key', p_item ->> 'api_key_id',
    p_item ->> 'operation', p_item ->> 'run_id', coalesce(p_item -> 'metadata', '{}'),
    p_raises => false);
end
$$;

-- Reads an account's deductions of a batch, in order. Each is malformed (it has a refusal), known
-- (its key was used before) or new. Call it under the account's lock. Nearly every item is
-- well-formed and looks like the usual one; any other takes the longer way.
--
-- Looks for each key at the first one that is not before it. Only the index on keys has that order,
-- so Postgres takes no other one, however few entries it expects of the account.
create or replace function credits_private.read_items(
  p_account_id text, p_items jsonb, p_has_keys boolean
) returns setof credits_private.batch_item
language plpgsql
set search_path = pg_temp
as $$
declare
  v_names constant text[] := array['account_id', 'amount', 'idempotency_key', 'api_key_id',
    'operation', 'run_id', 'metadata'];
begin
  return query
  with item as (
    select i.n::int as n, i.value, i.value ->> 'amount' as amount,
      i.value ->> 'idempotency_key' as idempotency_key, i.value ->> 'api_key_id' as api_key_id,
      i.value ->> 'operation' as operation, i.value ->> 'run_id' as run_id,
      i.value -> 'metadata' as metadata
    from jsonb_array_elements(p_items) with ordinality as i (value, n)
    offset 0 -- evaluates them once
  ), checked as (
    select i.*, case when (jsonb_typeof(i.value -> 'account_id') = 'string'
        and p_account_id <> '' and octet_length(p_account_id) <= 255
        and jsonb_typeof(i.value -> 'idempotency_key') = 'string'
        and octet_length(i.idempotency_key) between 1 and 255
        and jsonb_typeof(i.value -> 'amount') = 'number'
        and length(i.amount) <= 15 and i.amount ~ '^[0-9]+$'
        and (i.api_key_id is null or octet_length(i.api_key_id) between 1 and 255
          and jsonb_typeof(i.value -> 'api_key_id') = 'string')
        and (i.operation is null or octet_length(i.operation) between 1 and 255
          and jsonb_typeof(i.value -> 'operation') = 'string')
        and (i.run_id is null or octet_length(i.run_id) between 1 and 255
          and jsonb_typeof(i.value -> 'run_id') = 'string')
        and (i.metadata is null or jsonb_typeof(i.metadata) = 'object'
          and octet_length(i.metadata::text) <= 8192)
        and i.value - v_names = '{}') is not true
      then credits_private.malformed_item_refusal(i.value) end as refusal
    from item as i
    offset 0
  )
  select i.n,
    -- Through numeric, because 5.0 is a whole number, too.
    case when (i.refusal).code is null then i.amount::numeric::bigint end, i.idempotency_key,
    i.api_key_id, i.operation, i.run_id, coalesce(i.metadata, '{}'),
    min(i.n) over (partition by i.idempotency_key collate "C"), (i.refusal).code is null and (
      coalesce((
        select e.idempotency_key
        from credits_private.entries as e
        where e.account_id = p_account_id and e.idempotency_key >= i.idempotency_key
        order by e.idempotency_key
        limit 1
      ) = i.idempotency_key, false)
      or p_has_keys and exists (
        select from credits_private.idempotency_keys as k
        where k.account_id = p_account_id and k.idempotency_key = i.idempotency_key)),
    i.refusal, null::int[], null::bigint, null::bigint, null::bigint, null::text[],
    null::bigint[], null::bigint[], null::bigint[]
  from checked as i
  order by i.n;
end
$$;

-- What an account has for the deductions of a batch: its grants in burn-down order, each with what
-- is free of it; which of them any deduction may use (general); which ones an operation may use
-- besides (scoped, from first to last of the operation's group); and what a deduction without an
-- operation may take. If its head covers the batch (p_is_plain), no grant is read.
create or replace function credits_private.grants_of_batch(
  p_account credits_private.account, p_at timestamptz, p_is_plain boolean, out grant_ids bigint[],
  out free bigint[], out general int[], out scoped int[], out groups jsonb, out first int[],
  out last int[], out available bigint
)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  if p_is_plain then
    grant_ids := array[p_account.head_grant_id];
    free := array[p_account.balance - p_account.plain_above];
    general := array[1];
    available := p_account.balance + p_account.available_above;
    return;
  end if;
  with free as (
    select g.grant_id, g.remaining - g.held as free, g.operations,
      row_number() over (order by g.priority, g.operations is null, g.expires_at nulls last,
        g.source = 'purchase', g.effective_at, g.grant_id)::int as n
    from credits_private.remainders as g
    where g.account_id = p_account.account_id and g.is_open and g.remaining > g.held
      and (g.expires_at is null or g.expires_at > p_at)
  ), scoped as (
    select o.operation, f.n,
      row_number() over (order by o.operation collate "C", f.n)::int as place
    from free as f
    cross join lateral unnest(f.operations) as o (operation)
  ), groups as (
    select s.operation, min(s.place) as first, max(s.place) as last,
      row_number() over (order by min(s.place)) as n
    from scoped as s
    group by s.operation
  )
  select array_agg(f.grant_id order by f.n), array_agg(f.free order by f.n),
    array_agg(f.n order by f.n) filter (where f.operations is null),
    (select array_agg(s.n order by s.place) from scoped as s),
    (select jsonb_object_agg(g.operation, g.n) from groups as g),
    (select array_agg(g.first order by g.n) from groups as g),
    (select array_agg(g.last order by g.n) from groups as g),
    coalesce(sum(f.free) filter (where f.operations is null), 0)
      + credits_private.overdraft(p_account)
  into grant_ids, free, general, scoped, groups, first, last, available
  from free as f;
end
$$;

-- The limits of an account, in order, and for the deductions of a batch each counter that one of
-- them falls under: its number, by the number of its limit and its scope id, and what it shows; and
-- when the next window of each limit begins.
create or replace function credits_private.limits_of_batch(
  p_account credits_private.account, p_items credits_private.batch_item[], p_at timestamptz,
  out limits credits_private.spending_limit[], out retry_at timestamptz[], out counters jsonb,
  out spent bigint[], out reserved bigint[]
)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  if p_account.has_limits is not true then
    return;
  end if;
  limits := array(
    select row(l.*)::credits_private.spending_limit
    from credits_private.limits as l
    where l.account_id = p_account.account_id
    order by l.limit_id collate "C");
  retry_at := array(
    select case
        when l.limit_window = 'period' then p_account.period_ends_at
        else credits_private.limit_window_end(l.limit_window,
          credits_private.limit_window_start(
            l.limit_window, p_account.period, p_at, p_account.time_zone), p_account.time_zone)
      end
    from unnest(limits) as l);

  with scope as (
    select distinct l.ordinality as n, l.limit_id, s.scope_id, credits_private.limit_window_start(
      l.limit_window, p_account.period, p_at, p_account.time_zone) as window_start
    from unnest(limits) with ordinality as l
    cross join unnest(p_items) as i
    cross join lateral credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
      i.api_key_id, i.operation, i.run_id) as s (scope_id)
    where s.scope_id is not null
  ), counter as (
    select s.n || ' ' || s.scope_id as name, row_number() over () as n, (
        select c.spent from credits_private.limit_counters as c
        where c.account_id = p_account.account_id and c.limit_id = s.limit_id
          and c.window_start = s.window_start and c.scope_id = s.scope_id) as spent, (
        select c.reserved from credits_private.limit_counters as c
        where c.account_id = p_account.account_id and c.limit_id = s.limit_id
          and c.window_start = '-infinity' and c.scope_id = s.scope_id) as reserved
    from scope as s
  )
  select jsonb_object_agg(c.name, c.n), array_agg(coalesce(c.spent, 0) order by c.n),
    array_agg(coalesce(c.reserved, 0) order by c.n)
  into counters, spent, reserved
  from counter as c;
end
$$;

-- What examine_limits does, for a deduction of a batch: by what the counters show after the
-- deductions before it. Returns it with the counters that it falls under, and a refusal or the soft
-- limits whose ceiling it passes.
create or replace function credits_private.examine_item(
  p_item credits_private.batch_item, p_limits credits_private.spending_limit[],
  p_retry_at timestamptz[], p_counters jsonb, p_spent bigint[], p_reserved bigint[]
) returns credits_private.batch_item
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_limit credits_private.spending_limit;
  v_n int := 0;
  v_scope_id text;
  v_counter int;
  v_used bigint;
  v_left bigint;
  v_least bigint := p_item.amount;
begin
  foreach v_limit in array p_limits loop
    v_n := v_n + 1;
    v_scope_id := credits_private.limit_scope_id(v_limit.scope, v_limit.scope_id,
      v_limit.pseudonyms, p_item.api_key_id, p_item.operation, p_item.run_id);
    continue when v_scope_id is null;
    v_counter := (p_counters ->> (v_n || ' ' || v_scope_id))::int;
    p_item.counters := p_item.counters || v_counter;
    v_used := p_spent[v_counter] + p_reserved[v_counter];
    v_left := greatest(0, v_limit.ceiling + v_limit.overage - v_used);
    if v_left < v_least then
      v_least := v_left;
      p_item.refusal := credits_private.limit_refusal(v_limit, v_scope_id, p_item.amount,
        p_spent[v_counter], p_reserved[v_counter], v_left, p_retry_at[v_n]);
    elsif v_used + p_item.amount > v_limit.ceiling then
      p_item.exceeded_limits := p_item.exceeded_limits || v_limit.limit_id;
    end if;
  end loop;
  return p_item;
end
$$;

-- Decides an account's deductions of a batch one after the other, each as deduct would after those
-- before it, and writes nothing. Everything that they share is read once and then kept in
-- variables: what is free of each grant, and what each limit's counter shows. A deduction that is
-- booked gets a balance, and a transaction unless it is of 0; one whose key has just been booked
-- counts as known.
--
-- It is one function because a call with such arrays in its results copies them.
create or replace function credits_private.decide_items(
  p_account credits_private.account, p_items credits_private.batch_item[], p_at timestamptz,
  p_is_plain boolean, p_refusal credits_private.refusal
) returns setof credits_private.batch_item
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_item credits_private.batch_item;
  v_grants record := credits_private.grants_of_batch(p_account, p_at, p_is_plain);
  v_limits record := credits_private.limits_of_batch(p_account, p_items, p_at);
  v_free bigint[] := v_grants.free;
  v_spent bigint[] := v_limits.spent;
  v_from int[] := v_grants.first;
  v_next int := 1;
  v_available bigint := v_grants.available;
  v_entry_id bigint := p_account.last_entry_id;
  v_balance bigint := p_account.balance;
  v_is_booked boolean[] := array_fill(false, array[cardinality(p_items)]);
  v_group int;
  v_counter int;
  v_drawable bigint;
  v_left bigint;
  v_n int;
  v_part bigint;
begin
  foreach v_item in array p_items loop
    v_item.is_known := v_item.is_known
      or (v_item.refusal).code is null and v_is_booked[v_item.first_n];
    if v_item.is_known or (v_item.refusal).code is not null then
      return next v_item;
      continue;
    elsif p_refusal.code is not null then
      v_item.refusal := p_refusal;
      return next v_item;
      continue;
    elsif p_account.has_limits then
      v_item := credits_private.examine_item(v_item, v_limits.limits, v_limits.retry_at,
        v_limits.counters, v_spent, v_limits.reserved);
    end if;

    v_group := (v_grants.groups ->> v_item.operation)::int;
    v_drawable := v_available;
    if v_group is not null and v_drawable < v_item.amount then
      v_drawable := v_drawable + (
        select sum(v_free[s.n])
        from unnest(v_grants.scoped[v_from[v_group] : v_grants.last[v_group]]) as s (n));
    end if;
    if (v_item.refusal).code is null and v_drawable < v_item.amount then
      v_item.refusal := credits_private.shortage_refusal(p_account.account_id, v_item.amount,
        least(v_drawable, credits_private.max_amount()), v_item.operation);
    end if;
    if (v_item.refusal).code is not null then
      v_item.exceeded_limits := null;
      return next v_item;
      continue;
    end if;

    v_left := v_item.amount;
    while v_left > 0 loop
      while v_free[v_grants.general[v_next]] = 0 loop
        v_next := v_next + 1;
      end loop;
      v_n := v_grants.general[v_next];
      if v_group is not null then
        while v_from[v_group] < v_grants.last[v_group]
          and v_free[v_grants.scoped[v_from[v_group]]] = 0
        loop
          v_from[v_group] := v_from[v_group] + 1;
        end loop;
        if v_free[v_grants.scoped[v_from[v_group]]] > 0 then
          v_n := least(v_n, v_grants.scoped[v_from[v_group]]);
        end if;
      end if;
      -- Without a grant it is the overdraft, which covers what is left.
      v_part := least(v_left, v_free[v_n]);
      if v_n is not null then
        v_free[v_n] := v_free[v_n] - v_part;
      end if;
      if v_n is not distinct from v_grants.general[v_next] then
        v_available := v_available - v_part;
      end if;
      v_left := v_left - v_part;
      v_balance := v_balance - v_part;
      v_item.grant_ids := array_append(v_item.grant_ids, v_grants.grant_ids[v_n]);
      v_item.amounts := array_append(v_item.amounts, v_part);
      v_item.balances := array_append(v_item.balances, v_balance);
    end loop;

    foreach v_counter in array coalesce(v_item.counters, array[]::int[]) loop
      v_spent[v_counter] := v_spent[v_counter] + v_item.amount;
    end loop;
    if v_item.amount > 0 then
      v_item.transaction_id := v_entry_id + 1;
      v_entry_id := v_entry_id + cardinality(v_item.amounts);
    end if;
    v_item.balance := v_balance;
    v_item.available := least(v_available, credits_private.max_amount());
    v_is_booked[v_item.first_n] := true;
    return next v_item;
  end loop;
end
$$;

-- Does the same for new deductions that the head covers, on an account without limits: each follows
-- from those before it.
create or replace function credits_private.decide_plain_items(
  p_items credits_private.batch_item[], p_head_grant_id bigint, p_last_entry_id bigint,
  p_balance bigint, p_available_above bigint
) returns setof credits_private.batch_item
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return query
  select i.n, i.amount, i.idempotency_key, i.api_key_id, i.operation, i.run_id, i.metadata,
    i.first_n, false, null::credits_private.refusal, null::int[],
    p_last_entry_id + i.n, i.balance, i.balance + p_available_above, null::text[],
    array[p_head_grant_id], array[i.amount], array[i.balance]
  from (
    select i.n, i.amount, i.idempotency_key, i.api_key_id, i.operation, i.run_id, i.metadata,
      i.first_n, (p_balance - sum(i.amount) over (order by i.n))::bigint as balance
    from unnest(p_items) as i
  ) as i
  order by i.n;
end
$$;

-- Writes the entries of what was decided, in one statement.
create or replace function credits_private.write_items(
  p_account credits_private.account, p_items credits_private.batch_item[], p_at timestamptz
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.entries (
    account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount, balance_after,
    period, effective_at, created_at, api_key_id, operation, run_id, idempotency_key, metadata,
    available, statement_entries
  )
  select p_account.account_id, i.transaction_id + p.n - 1, i.transaction_id,
    cardinality(i.amounts), 'deduction', p.grant_id, -p.amount, p.balance, p_account.period, p_at,
    p_at, i.api_key_id, i.operation, i.run_id, case when p.n = 1 then i.idempotency_key end,
    case when p.n = 1 then nullif(i.metadata, '{}') end,
    case when p.n = 1 then nullif(i.available, i.balance) end,
    case when i.transaction_id + p.n - 1 = p_account.last_entry_id + 1
      then nullif(count(*) over (), 1) else 0 end
  from unnest(p_items) as i
  cross join lateral unnest(i.grant_ids, i.amounts, i.balances) with ordinality
    as p (grant_id, amount, balance, n)
  where i.transaction_id is not null
  order by 2;
end
$$;

-- Keeps the keys and the answers of deductions of 0, which have no entry, and of those that passed
-- soft limits. The account's row must change with a key, as it does in deduct_nothing.
create or replace function credits_private.write_keys(
  p_account_id text, p_items credits_private.batch_item[], p_at timestamptz
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.idempotency_keys (
    account_id, idempotency_key, fingerprint, transaction_id, available, answer
  )
  select p_account_id, i.idempotency_key, credits_private.deduction_fingerprint(
      i.amount, i.api_key_id, i.operation, i.run_id), i.transaction_id, i.available,
    case when i.amount = 0 then jsonb_build_object('amount', 0, 'balance', i.balance)
      else '{}' end
    || jsonb_strip_nulls(jsonb_build_object('exceeded_limits', i.exceeded_limits))
  from unnest(p_items) as i
  where i.balance is not null and (i.amount = 0 or i.exceeded_limits is not null);
  if exists (select from unnest(p_items) as i where i.balance is not null and i.amount = 0) then
    update credits_private.accounts as a
    set last_created_at = p_at, has_keys = true
    where a.account_id = p_account_id;
  end if;
end
$$;

-- The answers to the deductions of a batch whose keys were used before. The entry has nearly all of
-- them; replay_deduction answers where there is more to say, and where the call is another one.
create or replace function credits_private.replay_items(
  p_account_id text, p_items credits_private.batch_item[]
) returns setof credits.deduct_credits_batch_result
language plpgsql
set search_path = pg_temp
as $$
begin
  return query
  select i.n, p_account_id, i.idempotency_key, (r.answer).result.transaction_id,
    (r.answer).result.amount, (r.answer).result.balance, (r.answer).result.available,
    (r.answer).result.replayed, (r.answer).result.exceeded_limits, (r.answer).refusal.code,
    (r.answer).refusal.message, case when (r.answer).refusal.code is not null then
      credits_private.refusal_detail((r.answer).refusal) end, (r.answer).result.refunded
  from unnest(p_items) as i
  left join lateral (
    select e.idempotency_key, e.kind, e.entry_id, e.entry_count, e.amount, e.balance_after,
      e.available, e.api_key_id, e.operation, e.run_id
    from credits_private.entries as e
    where e.account_id = p_account_id and e.idempotency_key >= i.idempotency_key
    order by e.idempotency_key
    limit 1
  ) as t on t.idempotency_key = i.idempotency_key and t.kind = 'deduction'
    and (t.api_key_id, t.operation, t.run_id) is not distinct from
      (i.api_key_id, i.operation, i.run_id)
  left join lateral (
    select e.balance_after
    from credits_private.entries as e
    where e.account_id = p_account_id and e.entry_id = t.entry_id + t.entry_count - 1
    order by e.entry_id
    limit 1
  ) as l on l.balance_after = t.balance_after - t.amount - i.amount
  cross join lateral (
    select case
      when l.balance_after is null or exists (
        select from credits_private.idempotency_keys as k
        where k.account_id = p_account_id and k.idempotency_key = i.idempotency_key)
      then credits_private.replay_deduction(p_account_id, i.amount, i.idempotency_key,
        i.api_key_id, i.operation, i.run_id, p_raises => false)
      else ((t.entry_id, i.amount, l.balance_after, coalesce(t.available, l.balance_after), true,
        null, credits_private.refunded(p_account_id, t.entry_id))::credits.deduct_credits_result,
        null)::credits_private.deduction
    end as answer
    offset 0 -- evaluates it once
  ) as r
  where i.is_known;
end
$$;

-- The answers to the deductions of a batch, once they are booked.
create or replace function credits_private.answer_items(
  p_account_id text, p_items credits_private.batch_item[]
) returns setof credits.deduct_credits_batch_result
language plpgsql
set search_path = pg_temp
as $$
begin
  return query
  select i.n, p_account_id, i.idempotency_key, i.transaction_id,
    case when i.balance is not null then i.amount end, i.balance, i.available,
    case when i.balance is not null then false end, i.exceeded_limits, (i.refusal).code,
    (i.refusal).message, case when (i.refusal).code is not null then
      credits_private.refusal_detail(i.refusal) end,
    case when i.balance is not null then 0::bigint end
  from unnest(p_items) as i
  where not i.is_known;
  if exists (select from unnest(p_items) as i where i.is_known) then
    return query select r.* from credits_private.replay_items(p_account_id, p_items) as r;
  end if;
end
$$;

-- Books an account's deductions of a batch, and returns their answers, numbered as in p_items. In
-- the order of a call, but each step for all of them.
create or replace function credits_private.book_items(
  p_account_id text, p_items jsonb, p_at timestamptz
) returns setof credits.deduct_credits_batch_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
  v_refusal credits_private.refusal;
  v_at timestamptz;
  v_new record;
  v_items credits_private.batch_item[];
  v_decided record;
  v_is_plain boolean;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id
  for no key update;
  if not found then
    v_refusal := credits_private.no_such_account_refusal(p_account_id);
  elsif v_account.closed_at is not null then
    v_refusal := credits_private.closed_account_refusal(v_account);
  end if;
  v_at := credits_private.moment(v_account, p_at);
  select array_agg(i) as items, count(i.amount) filter (where not i.is_known) as count,
    sum(i.amount) filter (where not i.is_known) as amount,
    bool_and(i.amount > 0 and not i.is_known and i.first_n = i.n) as are_usual,
    bool_or(i.operation = any (v_account.scoped_operations)) as is_scoped
  into v_new
  from credits_private.read_items(p_account_id, p_items, v_account.has_keys) as i;
  if v_new.count > 0 and v_refusal.code is null and v_account.due_at <= v_at then
    v_account := credits_private.settle(v_account, v_at);
  end if;
  v_is_plain := (v_account.head_grant_id is not null and v_new.is_scoped is not true
    and v_account.balance - v_new.amount > v_account.plain_above) is true;
  if v_is_plain and v_new.are_usual and not v_account.has_limits then
    v_items := array(select i from credits_private.decide_plain_items(v_new.items,
      v_account.head_grant_id, v_account.last_entry_id, v_account.balance,
      v_account.available_above) as i);
  else
    v_items := array(select i from credits_private.decide_items(
      v_account, v_new.items, v_at, v_is_plain, v_refusal) as i);
  end if;
  select bool_or(i.transaction_id is not null) as any_entry,
    max(i.transaction_id) as last_id, bool_or(i.balance is not null
      and (i.amount = 0 or i.exceeded_limits is not null)) as any_key
  into v_decided
  from unnest(v_items) as i;
  if v_decided.any_entry and not v_is_plain then
    v_account := credits_private.put_down_head(v_account);
  end if;
  if v_decided.any_entry then
    perform credits_private.write_items(v_account, v_items, v_at);
    if not v_is_plain and v_decided.last_id > v_account.last_entry_id + 1 then
      perform credits_private.take_up_head(p_account_id, v_decided.last_id - 1);
    end if;
  end if;
  if v_decided.any_key then
    perform credits_private.write_keys(p_account_id, v_items, v_at);
  end if;

  return query select r.* from credits_private.answer_items(p_account_id, v_items) as r;
end
$$;

-- Books an account's deductions of a batch, and returns their answers, numbered as in p_items.
-- One alone is a call like any other.
create or replace function credits_private.book_account(
  p_account_id text, p_items jsonb, p_at timestamptz
) returns setof credits.deduct_credits_batch_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_booked credits_private.deduction;
begin
  if jsonb_array_length(p_items) > 1 then
    return query select b.* from credits_private.book_items(p_account_id, p_items, p_at) as b;
    return;
  end if;
  v_booked := credits_private.book_item(p_items -> 0, p_at);
  return next (1, p_account_id, p_items -> 0 ->> 'idempotency_key',
    (v_booked.result).transaction_id, (v_booked.result).amount, (v_booked.result).balance,
    (v_booked.result).available, (v_booked.result).replayed, (v_booked.result).exceeded_limits,
    (v_booked.refusal).code, (v_booked.refusal).message,
    case when (v_booked.refusal).code is not null then
      credits_private.refusal_detail(v_booked.refusal) end, (v_booked.result).refunded
    )::credits.deduct_credits_batch_result;
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
    if cardinality(v_of_account.ns) = jsonb_array_length(p_deductions) then
      v_results := array(
        select r
        from credits_private.book_account(v_of_account.account_id, v_of_account.items, p_at) as r
        order by r.deduction);
      exit;
    end if;
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
