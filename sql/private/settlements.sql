-- What the triggers on entries and hold_parts do for the rows that settling writes in one statement
-- (settle.sql): the first row applies them all, and changes each figure once. It refuses whatever a
-- row by itself would be refused for: each row is looked at with what the rows before it leave.
--
-- Without nested loops: Postgres takes an account's grants and holds for few, and would compare
-- each of them with each row. (Its way to say so is a cost that would set off JIT.) The bounds keep
-- it from reading all that an account ever had.

-- Applies the entries of a settlement, from p_entry_id on.
create or replace function credits_private.apply_settlement(p_account_id text, p_entry_id bigint)
returns void
language plpgsql
set search_path = pg_temp
set enable_nestloop = off
set jit = off
as $$
declare
  v_first credits_private.entry;
  v_last credits_private.entry;
  v_sum record;
begin
  select e.* into v_first
  from credits_private.entries_between(p_account_id, p_entry_id, p_entry_id) as e;
  select e.* into v_last
  from credits_private.entries_between(p_account_id, p_entry_id + v_first.statement_entries - 1,
    p_entry_id + v_first.statement_entries - 1) as e;

  select sum(e.amount)::bigint as amount,
    coalesce(sum(e.amount) filter (where e.grant_id is null), 0)::bigint as repaid,
    coalesce(max(e.repaid_upto), 0)::bigint as most_repaid,
    count(*) filter (where e.kind in ('grant', 'expiry', 'repay', 'revocation')
      and credits_private.is_entry(e.kind, e.amount, e.grant_id, e.hold_id, e.is_first,
        e.revoked_grant_id, e.refunded_entry_id)
      and e.entry_id - e.transaction_id between 0 and e.entry_count - 1
      and (e.entry_id = p_entry_id) = (e.statement_entries > 0)
      and e.balance_after - e.upto = v_first.balance_after - v_first.amount
      and e.period >= e.previous_period and e.effective_at >= e.previous_at
      and e.effective_at <= e.created_at and e.created_at = v_first.created_at) as entries
  into v_sum
  from (
    select e.*, sum(e.amount) over by_number as upto,
      sum(e.amount) filter (where e.grant_id is null) over by_number as repaid_upto,
      lag(e.period, 1, e.period) over by_number as previous_period,
      lag(e.effective_at, 1, e.effective_at) over by_number as previous_at
    from credits_private.entries_between(p_account_id, p_entry_id, v_last.entry_id) as e
    window by_number as (order by e.entry_id)
  ) as e;

  update credits_private.accounts as a
  set
    balance = a.balance + v_sum.amount,
    debt = a.debt - v_sum.repaid,
    last_entry_id = v_last.entry_id,
    last_effective_at = v_last.effective_at,
    last_created_at = v_last.created_at
  where a.account_id = p_account_id
    and v_sum.entries = v_first.statement_entries
    and a.last_entry_id = p_entry_id - 1
    and a.balance + v_first.amount = v_first.balance_after
    and a.debt >= v_sum.most_repaid
    and a.last_effective_at <= v_first.effective_at
    and a.last_created_at <= v_first.created_at
    and a.period <= v_first.period
    and a.head_grant_id is null;
  if not found then
    perform credits_private.raise_refused_entry(p_account_id, p_entry_id);
  end if;
  perform credits_private.apply_settlement_to_grants(p_account_id, p_entry_id, v_last.entry_id);
end
$$;

-- A grant has its own entries, and the revocations that name it, which take from it, from its
-- re-grants or off the debt.
create or replace function credits_private.apply_settlement_to_grants(
  p_account_id text, p_first_id bigint, p_last_id bigint
) returns void
language plpgsql
set search_path = pg_temp
set enable_nestloop = off
set jit = off
as $$
declare
  v_first_grant_id bigint;
  v_last_grant_id bigint;
begin
  select least(min(e.grant_id), min(e.revoked_grant_id)),
    greatest(max(e.grant_id), max(e.revoked_grant_id))
  into v_first_grant_id, v_last_grant_id
  from credits_private.entries_between(p_account_id, p_first_id, p_last_id) as e;

  update credits_private.grants as g
  set
    remaining = g.remaining + s.amount,
    is_open = g.remaining + s.amount > 0,
    taken = g.taken - s.taken,
    last_entry_id = s.last_entry_id
  from (
    select m.grant_id, sum(m.amount)::bigint as amount, sum(m.taken)::bigint as taken,
      min(m.upto) as least, max(m.upto) as most, max(m.entry_id) as last_entry_id,
      min(m.effective_at) filter (where m.kind = 'expiry') as expired_at,
      max(m.effective_at) filter (where m.kind in ('grant', 'repay')) as used_at
    from (
      select g.*, e.kind, e.entry_id, e.effective_at,
        sum(g.amount) over (partition by g.grant_id order by e.entry_id) as upto
      from credits_private.entries_between(p_account_id, p_first_id, p_last_id) as e
      cross join lateral (values
        (e.grant_id, e.amount, case when e.revoked_grant_id = e.grant_id then e.amount else 0 end),
        (nullif(e.revoked_grant_id, e.grant_id), 0, e.amount)
      ) as g (grant_id, amount, taken)
      where g.grant_id is not null
    ) as m
    group by m.grant_id
  ) as s
  where g.account_id = p_account_id and g.grant_id = s.grant_id
    and g.grant_id between v_first_grant_id and v_last_grant_id
    and g.remaining + s.least >= g.held and g.remaining + s.most <= g.amount
    and (s.expired_at is null or g.expires_at <= s.expired_at)
    and (s.used_at is null or g.expires_at is null or g.expires_at > s.used_at);

  perform credits_private.raise_refused_entry(p_account_id, e.entry_id)
  from credits_private.entries_between(p_account_id, p_first_id, p_last_id) as e
  cross join lateral (values (e.grant_id), (e.revoked_grant_id)) as n (grant_id)
  left join credits_private.grants as g
    on g.account_id = p_account_id and g.grant_id = n.grant_id
    and g.grant_id between v_first_grant_id and v_last_grant_id
  where n.grant_id is not null and (g.last_entry_id >= e.entry_id) is not true;
end
$$;

-- Applies the parts by which holds end, from p_part_id on.
create or replace function credits_private.apply_ended_parts(p_account_id text, p_part_id bigint)
returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_last_id bigint;
  v_sum record;
  v_has_limits boolean;
begin
  select p.part_id + p.statement_parts - 1 into v_last_id
  from credits_private.hold_parts as p
  where p.account_id = p_account_id and p.part_id = p_part_id;

  select sum(p.amount)::bigint as amount, max(p.created_at) as created_at,
    coalesce(sum(p.amount) filter (where p.grant_id is null), 0)::bigint as overdraft,
    count(*) = v_last_id - p_part_id + 1 and min(p.created_at) = max(p.created_at)
      and bool_and(p.amount < 0 and p.effective_at <= p.created_at
        and (p.part_id = p_part_id) = (p.statement_parts > 0)) as is_right
  into v_sum
  from credits_private.parts_between(p_account_id, p_part_id, v_last_id) as p;

  update credits_private.accounts as a
  set
    held = a.held + v_sum.amount,
    overdraft_held = a.overdraft_held + v_sum.overdraft,
    last_part_id = v_last_id,
    last_created_at = v_sum.created_at
  where a.account_id = p_account_id
    and v_sum.is_right
    and a.last_part_id = p_part_id - 1
    and a.last_created_at <= v_sum.created_at
    and a.head_grant_id is null
  returning a.has_limits into v_has_limits;
  if not found then
    perform credits_private.raise_refused_part(p_account_id, p_hold_id => null,
      p_part_id => p_part_id, p_invariant => 'every_change_has_an_entry');
  end if;
  perform credits_private.apply_ended_parts_to_rows(p_account_id, p_part_id, v_last_id);
  if v_has_limits then
    perform credits_private.apply_reservations(p_account_id, p_part_id, v_last_id);
  end if;
end
$$;

-- What the holds hold, and what is held of the grants.
create or replace function credits_private.apply_ended_parts_to_rows(
  p_account_id text, p_first_id bigint, p_last_id bigint
) returns void
language plpgsql
set search_path = pg_temp
set enable_nestloop = off
set jit = off
as $$
declare
  v_ids record;
begin
  select min(p.hold_id) as first_hold, max(p.hold_id) as last_hold,
    min(p.grant_id) as first_grant, max(p.grant_id) as last_grant
  into v_ids
  from credits_private.parts_between(p_account_id, p_first_id, p_last_id) as p;

  update credits_private.holds as h
  set held = h.held + s.amount, last_part_id = s.last_part_id
  from (
    select p.hold_id, sum(p.amount)::bigint as amount, max(p.part_id) as last_part_id
    from credits_private.parts_between(p_account_id, p_first_id, p_last_id) as p
    group by p.hold_id
  ) as s
  where h.account_id = p_account_id and h.hold_id = s.hold_id and h.state = 'open'
    and h.hold_id between v_ids.first_hold and v_ids.last_hold;

  update credits_private.grants as g
  set held = g.held + s.amount, last_part_id = s.last_part_id
  from (
    select p.grant_id, sum(p.amount)::bigint as amount, max(p.part_id) as last_part_id
    from credits_private.parts_between(p_account_id, p_first_id, p_last_id) as p
    where p.grant_id is not null
    group by p.grant_id
  ) as s
  where g.account_id = p_account_id and g.grant_id = s.grant_id
    and g.grant_id between v_ids.first_grant and v_ids.last_grant;

  perform credits_private.raise_refused_part(p_account_id, p.hold_id, p.part_id,
    case when h.last_part_id >= p.part_id then 'every_change_has_an_entry'
      else 'a_hold_is_resolved_once' end)
  from credits_private.parts_between(p_account_id, p_first_id, p_last_id) as p
  left join credits_private.holds as h
    on h.account_id = p_account_id and h.hold_id = p.hold_id
    and h.hold_id between v_ids.first_hold and v_ids.last_hold
  left join credits_private.grants as g
    on g.account_id = p_account_id and g.grant_id = p.grant_id
    and g.grant_id between v_ids.first_grant and v_ids.last_grant
  where (h.last_part_id >= p.part_id) is not true
    or p.grant_id is not null and (g.last_part_id >= p.part_id) is not true;
end
$$;

-- Some of an account's parts, in order: see entries_between.
create or replace function credits_private.parts_between(
  p_account_id text, p_first_id bigint, p_last_id bigint
) returns table (
  part_id bigint, hold_id bigint, grant_id bigint, amount bigint, effective_at timestamptz,
  created_at timestamptz, statement_parts bigint
)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return query
  select p.part_id, p.hold_id, p.grant_id, p.amount, p.effective_at, p.created_at,
    p.statement_parts
  from credits_private.hold_parts as p
  where p.account_id = p_account_id and p.part_id between p_first_id and p_last_id
  order by p.part_id;
end
$$;
