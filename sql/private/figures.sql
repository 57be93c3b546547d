-- What an account has at a moment, from rows alone, whether or not what is due has been settled.

-- What an account's grants have free at p_at: what is booked and not held, and what comes due by
-- then, which is what expired holds return and what scheduled grants bring. Of the latter, what was
-- revoked is taken first, also in place of what was booked as debt, then debt is repaid, in the order
-- in which settle books it; repaid is how much debt went. What expires by p_at is free of nothing,
-- and may have repaid before. (limit 1: Postgres takes an account's grants for few, and would join
-- them all with each other.)
create or replace function credits_private.free_credit(p_account_id text, p_at timestamptz)
returns table (
  grant_id bigint, operations text[], expires_at timestamptz, free bigint, repaid bigint
)
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_due record;
  v_debt bigint;
  v_revoked_debt bigint;
  v_revoked_debts bigint[] := '{}'::bigint[]; -- what is left of each origin's
  v_instead bigint[] := '{}'::bigint[]; -- what each one that comes due took the place of
begin
  return query
  select g.grant_id, g.operations, g.expires_at, g.remaining - g.held, 0::bigint
  from credits_private.grants as g
  where g.account_id = p_account_id and g.is_open and g.remaining > g.held
    and (g.expires_at is null or g.expires_at > p_at);

  -- After every call, nothing is due for a while.
  select a.debt into v_debt
  from credits_private.accounts as a
  where a.account_id = p_account_id and a.due_at <= p_at;
  if not found then
    return;
  end if;

  for v_due in
    with due as (
      select h.expires_at as due_at, 1 as step, h.hold_id as step_id, p.grant_id,
        min(p.part_id) as part, sum(p.amount) as amount
      from credits_private.holds as h
      join credits_private.hold_parts as p
        on p.account_id = h.account_id and p.hold_id = h.hold_id
      where h.account_id = p_account_id and h.state = 'open' and h.expires_at <= p_at
        and p.grant_id is not null
      group by h.expires_at, h.hold_id, p.grant_id
      having sum(p.amount) > 0
      union all
      select g.effective_at, 3, g.grant_id, g.grant_id, 0, g.amount
      from credits_private.grants as g
      where g.account_id = p_account_id and g.is_scheduled and g.effective_at <= p_at
    ), kept as (
      select d.due_at, d.step, d.step_id, d.part, g.grant_id, g.priority, g.operations,
        g.expires_at, g.source, g.effective_at, o.revoked_debt,
        row_number() over (order by d.due_at, d.step, d.step_id, d.part) as n,
        dense_rank() over (order by o.grant_id) as origin,
        (d.amount - least(d.amount, greatest(0, o.revoked - o.taken - (
          sum(d.amount) over (
            partition by o.grant_id order by d.due_at, d.step, d.step_id, d.part)
          - d.amount))))::bigint as amount
      from due as d
      cross join lateral (
        select g.*
        from credits_private.grants as g
        where g.account_id = p_account_id and g.grant_id = d.grant_id
        limit 1
      ) as g
      cross join lateral (
        select o.revoked, o.taken, o.grant_id, case when v_debt > 0 and o.taken > 0
          then credits_private.revoked_debt(p_account_id, o.grant_id) else 0 end as revoked_debt
        from credits_private.grants as o
        where o.account_id = p_account_id and o.grant_id = coalesce(g.origin_grant_id, g.grant_id)
        limit 1
      ) as o
    )
    select k.*, v.is_repaying,
      k.operations is not null or coalesce(k.expires_at <= k.due_at, false) as repays_nothing
    from kept as k
    cross join (values (false), (true)) as v (is_repaying)
    order by k.due_at, k.step, k.step_id, v.is_repaying, case when not v.is_repaying then k.n end,
      k.priority, k.expires_at nulls last, k.source = 'purchase', k.effective_at, k.grant_id
  loop
    v_revoked_debt := coalesce(v_revoked_debts[v_due.origin], v_due.revoked_debt);
    if not v_due.is_repaying then
      v_instead[v_due.n] := case when v_due.repays_nothing
        then least(v_due.amount, v_debt, greatest(0, v_revoked_debt)) else 0 end;
      v_revoked_debts[v_due.origin] := v_revoked_debt - v_instead[v_due.n];
      v_debt := v_debt - v_instead[v_due.n];
    else
      grant_id := v_due.grant_id;
      operations := v_due.operations;
      expires_at := v_due.expires_at;
      free := v_due.amount - v_instead[v_due.n];
      repaid := case when v_due.repays_nothing then 0 else least(free, v_debt) end;
      v_revoked_debts[v_due.origin] := v_revoked_debt - repaid;
      v_debt := v_debt - repaid;
      free := case when v_due.expires_at <= p_at then 0 else free - repaid end;
      repaid := repaid + v_instead[v_due.n];
      return next;
    end if;
  end loop;
end
$$;

revoke all on function credits_private.free_credit(text, timestamptz) from public;

-- The figures for a call that names p_operation. No call can take more than 2^53 - 1 at once,
-- however much the credits and the overdraft are together. Security definer, as what it calls reads
-- tables and the view `remaining` calls it as its reader.
create or replace function credits_private.figures(
  p_account_id text, p_operation text, p_at timestamptz
) returns credits_private.figures
language plpgsql stable security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
declare
  v_account credits_private.account;
  v_figures credits_private.figures;
  v_overdraft_returned bigint := 0;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id collate "default";

  select
    coalesce(sum(f.free)
      filter (where f.operations is null or p_operation collate "default" = any (f.operations)), 0),
    coalesce(sum(f.free) filter (where f.operations is not null), 0),
    v_account.held,
    v_account.debt - coalesce(sum(f.repaid), 0),
    min(f.expires_at) filter (where f.free > 0)
  into v_figures.available, v_figures.scoped, v_figures.held, v_figures.debt,
    v_figures.next_expiry_at
  from credits_private.free_credit(p_account_id collate "default", p_at) as f;

  if v_figures.next_expiry_at is not null then
    select sum(f.free) into v_figures.next_expiry_amount
    from credits_private.free_credit(p_account_id collate "default", p_at) as f
    where f.expires_at = v_figures.next_expiry_at;
  end if;

  if v_account.held > 0 and v_account.due_at <= p_at then
    select v_account.held - coalesce(sum(p.amount), 0),
      coalesce(sum(p.amount) filter (where p.grant_id is null), 0)
    into v_figures.held, v_overdraft_returned
    from credits_private.holds as h
    join credits_private.hold_parts as p on p.account_id = h.account_id and p.hold_id = h.hold_id
    where h.account_id = p_account_id collate "default" and h.state = 'open'
      and h.expires_at <= p_at;
  end if;

  v_figures.available := case when v_account.closed_at is null then least(9007199254740991,
    v_figures.available + greatest(0, v_account.overdraft_limit - v_figures.debt
      - (v_account.overdraft_held - v_overdraft_returned))) else 0 end;
  return v_figures;
end
$$;

revoke all on function credits_private.figures(text, text, timestamptz) from public;

-- What a deduction for p_operation may take. As long as nothing is due, which is so after every
-- call, it is one sum.
create or replace function credits_private.available(
  p_account_id text, p_operation text, p_at timestamptz
) returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id;
  if v_account.closed_at is not null then
    return 0;
  elsif v_account.due_at <= p_at then
    return (credits_private.figures(p_account_id, p_operation, p_at)).available;
  end if;
  return least(9007199254740991, (
    select coalesce(sum(g.remaining - g.held), 0)
    from credits_private.grants as g
    where g.account_id = p_account_id and g.is_open
      and (g.operations is null or p_operation = any (g.operations))
      and (g.expires_at is null or g.expires_at > p_at)
  ) + greatest(0, v_account.overdraft_limit - v_account.debt - v_account.overdraft_held));
end
$$;

revoke all on function credits_private.available(text, text, timestamptz) from public;

-- What each grant of an account has at p_at: what is held of it then, and what remains, held or free.
-- Security definer, as the view `grants` calls it as its reader.
create or replace function credits_private.grants_at(p_account_id text, p_at timestamptz)
returns setof credits_private.grant_figures
language plpgsql stable security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  return query
  with free as (
    select f.grant_id, sum(f.free) as amount
    from credits_private.free_credit(p_account_id collate "default", p_at) as f
    group by f.grant_id
  ), returned as (
    select p.grant_id, sum(p.amount) as amount
    from credits_private.holds as h
    join credits_private.hold_parts as p on p.account_id = h.account_id and p.hold_id = h.hold_id
    where h.account_id = p_account_id collate "default" and h.state = 'open'
      and h.expires_at <= p_at
    group by p.grant_id
  )
  select g.grant_id, (g.held - coalesce(r.amount, 0) + coalesce(f.amount, 0))::bigint,
    (g.held - coalesce(r.amount, 0))::bigint
  from credits_private.grants as g
  left join free as f on f.grant_id = g.grant_id
  left join returned as r on r.grant_id = g.grant_id
  where g.account_id = p_account_id collate "default";
end
$$;

revoke all on function credits_private.grants_at(text, timestamptz) from public;
