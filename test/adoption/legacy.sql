-- Fills an app's tables with a history, plants faults in it, and writes down which. Every choice is
-- a function of the seed, so the same arguments give the same rows on every server.
create schema legacy;

-- What diagnose must find, and no more. effect: what it makes the surface differ by.
create table legacy.planted (
  account_id text not null,
  surface text not null,
  cause text not null,
  rows bigint, -- null: which rows it was, the figures don't tell
  effect bigint not null,
  once bigint -- of duplicates: how many the balance has once
);

create function legacy.random(p_seed bigint, p_of bigint, p_salt int)
returns float8
language sql
immutable parallel safe
as $$
  select (hashint8extended(p_of * 64 + p_salt, p_seed) & 1048575) / 1048576::float8
$$;

create function legacy.whole(p_seed bigint, p_of bigint, p_salt int, p_from int, p_to int)
returns bigint
language sql
immutable parallel safe
as $$
  select p_from + floor(legacy.random(p_seed, p_of, p_salt) * (p_to - p_from + 1))::bigint
$$;

-- One row for each transaction to be: of account a, the s-th. Faults of the balance are six rows
-- apart, at the fourth of a block: closer ones could look like others, to anybody.
create function legacy.draw_slots(p_accounts bigint, p_transactions bigint, p_seed bigint)
returns void
language plpgsql
as $$
begin
  create unlogged table legacy.slots as
  with draws as (
    select
      a,
      s,
      (s - 1) * p_accounts + a as id,
      (s - 1) % 6 + 1 as place,
      a * 4096 + (s - 1) / 6 as block,
      -- Half of the accounts have no such fault, and the last block, if it is not whole, has none.
      (s - 1) / 6 * 6 + 6 <= n
        and legacy.random(p_seed, a, 1) < 0.5
        and legacy.random(p_seed, a * 4096 + (s - 1) / 6, 2) < 0.15 as faulty
    from generate_series(1, p_accounts) as a
    cross join lateral (
      select (p_transactions - a) / p_accounts + 1 as n
    ) as account
    cross join lateral generate_series(1, n) as s
  ), faults as (
    select
      *,
      case when faulty then (
        array['change', 'duplicate once', 'duplicate twice', 'refund', 'wrong']
      )[legacy.whole(p_seed, block, 3, 1, 5)] end as fault
    from draws
  ), kinds as (
    select
      *,
      case
        when s = 1 then 'purchase'
        when place = 4 and fault like 'duplicate%' then 'copy'
        when place = 4 and fault = 'refund' then 'refund'
        when place = 3 and fault like 'duplicate%' and legacy.random(p_seed, id, 4) < 0.25
          then 'purchase'
        when faulty and place in (3, 4) then 'usage'
        when legacy.random(p_seed, id, 5) < 0.05 then 'purchase'
        when place % 2 = 0 and legacy.random(p_seed, id, 5) < 0.25 then 'refund'
        else 'usage'
      end as drawn
    from faults
  )
  select
    *,
    -- A refund is of the row before it, if that is a debit, and is a debit itself if not.
    case
      when drawn <> 'refund' or lag(drawn) over account = 'usage' then drawn
      else 'usage'
    end as kind
  from kinds
  window account as (partition by a order by s);
end
$$;

-- Amounts, keys and moments, and by how much the balance moved besides (shift), or balance_after
-- alone was wrong (off).
create function legacy.draw_rows(p_accounts bigint, p_transactions bigint, p_seed bigint)
returns void
language plpgsql
as $$
begin
  create unlogged table legacy.rows as
  with own as (
    select
      *,
      case
        when kind = 'purchase' then legacy.whole(p_seed, id, 6, 1, 50) * 100
        when legacy.random(p_seed, id, 7) < 0.4 then -1
        else -legacy.whole(p_seed, id, 8, 2, 50)
      end as cost,
      case when legacy.random(p_seed, id, 7) < 0.4 then '/search' else '/execute' end as path,
      case
        when legacy.random(p_seed, a, 9) < 0.15 and legacy.random(p_seed, id, 7) < 0.2 then null
        when legacy.random(p_seed, a, 10) < 0.1 and legacy.random(p_seed, id, 11) < 0.1
          then 'deleted_' || a
        else 'key_' || a || '_' || legacy.whole(p_seed, id, 12, 1, 1 + (a % 3)::int)
      end as key,
      -- One in ten has the very moment of the row before it.
      s - (case when s > 1 and legacy.random(p_seed, id, 13) < 0.1 then 1 else 0 end) as tick
    from legacy.slots
  ), paired as (
    select
      *,
      lag(cost) over account as cost_before,
      lag(key) over account as key_before,
      lag(path) over account as path_before,
      lag(kind) over account as kind_before,
      lag(id) over account as id_before
    from own
    window account as (partition by a order by s)
  ), amounts as (
    select
      a,
      s,
      id,
      place,
      fault,
      kind = 'copy' as is_copy,
      kind = 'refund' as is_refund,
      case kind when 'copy' then kind_before else kind end as kind,
      case kind
        when 'copy' then cost_before
        when 'refund' then
          case when legacy.random(p_seed, id, 14) < 0.5 then -cost_before else (1 - cost_before) / 2 end
        else cost
      end as amount,
      case when kind = 'copy' then kind_before else kind end in ('usage', 'refund') as has_path,
      case when kind in ('copy', 'refund') then path_before else path end as path,
      case
        when kind = 'purchase' or kind = 'copy' and kind_before = 'purchase' then null
        when kind in ('copy', 'refund') then key_before
        else key
      end as key,
      id_before,
      timestamptz '2026-01-01T00:00:00Z'
        + tick * (interval '180 days' / (p_transactions / p_accounts + 1)) + a * interval '1 ms' as at,
      -- Some refunds don't say which key it was, and some not even of which debit they are.
      kind = 'refund' and legacy.random(p_seed, id, 15) < 0.5 as drops_key,
      kind = 'refund' and legacy.random(p_seed, a, 16) < 0.1
        and legacy.random(p_seed, id, 17) < 0.3 as drops_debit
    from paired
  )
  select
    *,
    case
      when place = 4 and fault = 'change' then legacy.whole(p_seed, id, 18, 1, 500)
        * (case when legacy.random(p_seed, id, 19) < 0.5 then -1 else 1 end)
      when place = 4 and fault in ('duplicate once', 'refund') then -amount
      else 0
    end + case
      when s = 1 and legacy.random(p_seed, a, 20) < 0.08 then legacy.whole(p_seed, a, 21, 1, 900)
      else 0
    end as shift,
    case
      when place = 4 and fault = 'wrong' then legacy.whole(p_seed, id, 22, 1, 90)
        * (case when legacy.random(p_seed, id, 23) < 0.5 then -1 else 1 end)
      else 0
    end as off
  from amounts;
end
$$;

-- A change that only the balance shows, after the last transaction.
create function legacy.final_change(p_seed bigint, p_account bigint)
returns bigint
language sql
immutable parallel safe
as $$
  select case
    when legacy.random(p_seed, p_account, 28) < 0.08 then legacy.whole(p_seed, p_account, 29, 1, 300)
      * (case when legacy.random(p_seed, p_account, 30) < 0.5 then -1 else 1 end)
    else 0
  end
$$;

-- What the counters saw of each row that is within its key's window.
create function legacy.draw_counts(p_seed bigint)
returns void
language plpgsql
as $$
begin
  create unlogged table legacy.keys as
  select
    a,
    'key_' || a || '_' || k as key,
    timestamptz '2026-01-01T00:00:00Z' + (60 + a % 60) * interval '1 day'
      + (case when k = 2 and a % 7 = 0 then interval '5 days' else interval '0' end) as since,
    case
      when legacy.random(p_seed, a * 8 + k, 24) < 0.12 then 'counted_as_one'
      when legacy.random(p_seed, a * 8 + k, 24) < 0.24 then 'refunds_left_out'
      when legacy.random(p_seed, a * 8 + k, 24) < 0.5 then 'duplicates'
    end as fault
  from (select distinct a from legacy.slots) as accounts
  cross join lateral generate_series(1, 1 + a % 3) as k;

  -- What names no key, or one that is gone, is in the window of the account's earliest key.
  create unlogged table legacy.counts as
  select
    r.a,
    r.key,
    k.fault,
    r.is_copy,
    r.drops_debit,
    r.kind,
    r.amount,
    k.key is not null as has_counter,
    case
      when r.drops_debit then 0
      when r.kind = 'refund' and k.fault = 'refunds_left_out'
        and legacy.random(p_seed, r.id, 25) < 0.6 then 0
      when r.is_copy and k.fault = 'duplicates' then 0
      when r.kind = 'usage' and k.fault = 'counted_as_one'
        and legacy.random(p_seed, r.id, 26) < 0.5 then 1
      else -r.amount
    end as counted
  from legacy.rows as r
  join (select a, min(since) as since from legacy.keys group by a) as f using (a)
  left join legacy.keys as k
    on k.a = r.a and k.key = case when not r.drops_debit then r.key end
  where r.kind in ('usage', 'refund') and r.at >= coalesce(k.since, f.since);

  -- Where increments of 1 and a duplicate that was not counted come to the same, nobody can tell them apart.
  create unlogged table legacy.counted as
  select
    a,
    key,
    fault,
    case when is_ambiguous then -total else counted end as counted,
    case when is_ambiguous then 0 else counted + total end as effect,
    copies
  from (
    select
      a,
      key,
      fault,
      sum(counted) as counted,
      sum(amount) as total,
      count(*) filter (where is_copy) as copies,
      fault = 'counted_as_one'
        and sum(counted + amount) = coalesce(sum(amount) filter (where is_copy), 0) as is_ambiguous
    from legacy.counts
    where has_counter
    group by a, key, fault
  ) as k;
end
$$;

create function legacy.write_tables(p_accounts bigint, p_seed bigint)
returns void
language plpgsql
as $$
begin
  insert into public.users
  select 'user_' || a, 'user' || a || '@example.com', 1000, '2025-12-31T00:00:00Z'
  from generate_series(1, p_accounts) as a;

  insert into public.credit_transactions
  select
    id,
    'user_' || a,
    amount,
    kind,
    case when has_path then path end,
    case when not drops_key and not drops_debit then key end,
    case kind
      when 'purchase' then 'payment '
      -- A refund may have the reference of its debit: that makes it no duplicate.
      when 'refund' then case when legacy.random(p_seed, id, 27) < 0.5 then 'call ' else 'refund ' end
      else 'call '
    end || case when kind = 'refund' or is_copy then id_before else id end,
    case when is_refund and not drops_debit then id_before end,
    sum(amount + shift) over (partition by a order by s) + off,
    at
  from legacy.rows
  order by id;

  insert into public.user_credits
  select
    'user_' || a,
    sum(amount + shift) + legacy.final_change(p_seed, a),
    max(at)
  from legacy.rows
  group by a;

  insert into public.api_keys
  select k.key, 'user_' || k.a, coalesce(c.counted, 0), k.since
  from legacy.keys as k
  left join legacy.counted as c using (a, key);
end
$$;

create function legacy.write_down_balance_faults(p_accounts bigint, p_seed bigint)
returns void
language plpgsql
as $$
begin
  insert into legacy.planted
  select 'user_' || a, 'balance', cause, count(*), sum(effect), sum(once)
  from (
    select
      a,
      case
        when s = 1 or fault = 'change' then 'balance_changed_without_transaction'
        when fault = 'wrong' then 'chain_gaps'
        when fault = 'refund' then 'refunds_left_out'
        else 'duplicates'
      end as cause,
      shift as effect,
      case when s > 1 and fault like 'duplicate%' then (fault = 'duplicate once')::int end as once
    from legacy.rows
    where place = 4 and fault is not null or s = 1 and shift <> 0
    union all
    select a, 'balance_changed_without_transaction', legacy.final_change(p_seed, a), null
    from generate_series(1, p_accounts) as a
    where legacy.final_change(p_seed, a) <> 0
  ) as faults
  group by a, cause;
end
$$;

create function legacy.write_down_counter_faults()
returns void
language plpgsql
as $$
begin
  insert into legacy.planted
  select 'user_' || a, 'counter monthly_calls_count', cause, sum(rows), sum(effect)
  from (
    select a, fault as cause, case when fault = 'duplicates' then copies end as rows, effect
    from legacy.counted
    union all
    select a, 'refunds_left_out', null, amount
    from legacy.counts
    where drops_debit
    union all
    select
      a,
      case when key is null then 'debits_without_api_key' else 'unknown_api_key' end,
      (kind = 'usage')::int,
      amount
    from legacy.counts
    where not has_counter and not drops_debit
  ) as faults
  where effect <> 0
  group by a, cause;

  insert into legacy.planted
  select
    'user_' || a,
    'api_key_calls',
    'debits_without_api_key',
    count(*),
    -count(*)
  from legacy.rows
  where kind = 'usage' and key is null
  group by a;
end
$$;

create function legacy.fill(p_accounts bigint, p_transactions bigint, p_seed bigint)
returns void
language plpgsql
as $$
begin
  perform legacy.draw_slots(p_accounts, p_transactions, p_seed);
  perform legacy.draw_rows(p_accounts, p_transactions, p_seed);
  analyze legacy.rows;
  perform legacy.draw_counts(p_seed);
  perform legacy.write_tables(p_accounts, p_seed);
  perform legacy.write_down_balance_faults(p_accounts, p_seed);
  perform legacy.write_down_counter_faults();
  drop table legacy.slots, legacy.rows, legacy.keys, legacy.counts, legacy.counted;
end
$$;
