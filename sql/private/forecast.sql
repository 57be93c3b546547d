-- What an account's grants have free at a moment, whether or not what is due by then has been
-- settled. What is due is forecast in three steps, as settling will book it: what returns to
-- grants, what revocations keep back of it, and what debt it repays.

-- What comes to grants by p_at: what holds return when they expire, and what scheduled grants
-- bring. Settling books it in order of at, step, id and part_id. A row without a grant is overdraft
-- that a hold returns.
create or replace function credits_private.due_credit(p_account_id text, p_at timestamptz)
returns table (
  at timestamptz, step int, id bigint, kind text, part_id bigint, grant_id bigint, amount bigint
)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return query
  select d.at, d.step, d.id, d.kind, min(p.part_id), p.grant_id, sum(p.amount)::bigint
  from credits_private.due as d
  join credits_private.hold_parts as p on p.account_id = d.account_id and p.hold_id = d.id
  where d.account_id = p_account_id and d.kind = 'hold expires' and d.at <= p_at
  group by d.at, d.step, d.id, d.kind, p.grant_id
  union all
  select d.at, d.step, d.id, d.kind, 0::bigint, d.id, d.amount
  from credits_private.due as d
  where d.account_id = p_account_id and d.kind = 'grant begins' and d.at <= p_at;
end
$$;

-- What revocations leave of that. What was asked back of a grant, and not taken yet, is taken from
-- what comes to the grant or to its re-grants, in order. n numbers the rows in that order, and
-- origin the grants that were granted; was_taken says whether anything of that grant was taken
-- before. (limit 1: Postgres takes an account's grants for few, and would join all of them with
-- each other.)
create or replace function credits_private.kept_credit(p_account_id text, p_at timestamptz)
returns table (
  n bigint, at timestamptz, step int, id bigint, grant_id bigint, origin bigint,
  origin_grant_id bigint, was_taken boolean, amount bigint
)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return query
  select
    row_number() over (order by d.at, d.step, d.id, d.part_id),
    d.at, d.step, d.id, d.grant_id,
    dense_rank() over (order by o.grant_id),
    o.grant_id, o.taken > 0,
    (d.amount - least(d.amount, greatest(0, o.revoked - o.taken - (
      sum(d.amount) over (partition by o.grant_id order by d.at, d.step, d.id, d.part_id)
      - d.amount))))::bigint
  from credits_private.due_credit(p_account_id, p_at) as d
  cross join lateral (
    select coalesce(g.origin_grant_id, g.grant_id) as origin_grant_id
    from credits_private.grants as g
    where g.account_id = p_account_id and g.grant_id = d.grant_id
    limit 1
  ) as g
  cross join lateral (
    select o.grant_id, o.revoked, o.taken
    from credits_private.grants as o
    where o.account_id = p_account_id and o.grant_id = g.origin_grant_id
    limit 1
  ) as o
  where d.amount > 0;
end
$$;

-- What is free of that at p_at, once p_debt is repaid, and how much of it repaid debt. Thing by
-- thing, as tidy does it: credit that cannot repay, because it is scoped or has expired by then,
-- takes the place of the debt that was booked for its revocation; then the rest repays in burn-down
-- order. Credit that expires by p_at is not free, but may have repaid debt before.
create or replace function credits_private.freed_credit(
  p_account_id text, p_at timestamptz, p_debt bigint
) returns table (
  grant_id bigint, operations text[], expires_at timestamptz, free bigint, repaid bigint
)
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_due record;
  v_debt bigint := p_debt;
  v_owed bigint;
  v_owed_of bigint[] := '{}'::bigint[]; -- by origin: the debt that is left of its revocation
  v_instead bigint[] := '{}'::bigint[]; -- by n: the debt whose place the row took
begin
  for v_due in
    select k.n, k.grant_id, k.origin, k.origin_grant_id, k.was_taken, k.amount, g.operations,
      g.expires_at, v.is_repaying,
      g.operations is not null or coalesce(g.expires_at <= k.at, false) as repays_nothing
    from credits_private.kept_credit(p_account_id, p_at) as k
    cross join lateral (
      select g.grant_id, g.operations, g.expires_at, g.priority, g.source, g.effective_at
      from credits_private.grants as g
      where g.account_id = p_account_id and g.grant_id = k.grant_id
      limit 1
    ) as g
    cross join (values (false), (true)) as v (is_repaying)
    order by k.at, k.step, k.id, v.is_repaying, case when not v.is_repaying then k.n end,
      g.priority, g.expires_at nulls last, g.source = 'purchase', g.effective_at, g.grant_id
  loop
    v_owed := coalesce(v_owed_of[v_due.origin], case when p_debt > 0 and v_due.was_taken
      then credits_private.revoked_debt(p_account_id, v_due.origin_grant_id) else 0 end);
    if not v_due.is_repaying then
      v_instead[v_due.n] := case when v_due.repays_nothing
        then least(v_due.amount, v_debt, greatest(0, v_owed)) else 0 end;
      v_owed_of[v_due.origin] := v_owed - v_instead[v_due.n];
      v_debt := v_debt - v_instead[v_due.n];
    else
      grant_id := v_due.grant_id;
      operations := v_due.operations;
      expires_at := v_due.expires_at;
      free := v_due.amount - v_instead[v_due.n];
      repaid := case when v_due.repays_nothing then 0 else least(free, v_debt) end;
      v_owed_of[v_due.origin] := v_owed - repaid;
      v_debt := v_debt - repaid;
      free := case when v_due.expires_at <= p_at then 0 else free - repaid end;
      repaid := repaid + v_instead[v_due.n];
      return next;
    end if;
  end loop;
end
$$;

-- What an account's grants have free at p_at: what is booked, neither held nor expired, and what
-- comes due by then. repaid is the debt that goes by then. A grant can have more than one row.
create or replace function credits_private.free_credit(p_account_id text, p_at timestamptz)
returns table (
  grant_id bigint, operations text[], expires_at timestamptz, free bigint, repaid bigint
)
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_debt bigint;
begin
  return query
  select g.grant_id, g.operations, g.expires_at, g.remaining - g.held, 0::bigint
  from credits_private.remainders as g
  where g.account_id = p_account_id and g.is_open and g.remaining > g.held
    and (g.expires_at is null or g.expires_at > p_at);

  -- After every call, nothing is due for a while.
  select a.debt into v_debt
  from credits_private.accounts as a
  where a.account_id = p_account_id and a.due_at <= p_at;
  if found then
    return query
    select f.grant_id, f.operations, f.expires_at, f.free, f.repaid
    from credits_private.freed_credit(p_account_id, p_at, v_debt) as f;
  end if;
end
$$;
