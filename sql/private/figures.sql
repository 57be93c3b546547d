-- requires: private/remainders.sql
--
-- What an account has at a moment, from rows alone, whether or not what is due has been settled.

-- What is due on an account by p_at and not booked yet: nothing, after every call and for a while.
create or replace function credits_private.unbooked_effects(
  p_account credits_private.account, p_at timestamptz
) returns setof credits_private.due_effect
language plpgsql stable
set search_path = pg_temp
as $$
begin
  if p_account.due_at <= p_at then
    return query
    select e.*
    from credits_private.due_effects(p_account.account_id, p_at, p_account.debt) as e;
  end if;
end
$$;

-- What each grant of an account has free at p_at: what is booked, and what p_effects make of it.
create or replace function credits_private.free_credit(
  p_account_id text, p_at timestamptz, p_effects credits_private.due_effect[]
) returns table (grant_id bigint, operations text[], expires_at timestamptz, free bigint)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return query
  select f.grant_id, f.operations, f.expires_at, sum(f.free)::bigint
  from (
    select g.grant_id, g.operations, g.expires_at, g.remaining - g.held as free
    from credits_private.remainders as g
    where g.account_id = p_account_id and g.is_open
    union all
    select e.grant_id, e.operations, e.expires_at,
      e.returned + e.begun - e.taken - e.replaced - e.expired - e.repaid
    from unnest(p_effects) as e
    where e.grant_id is not null
  ) as f
  where f.expires_at is null or f.expires_at > p_at
  group by f.grant_id, f.operations, f.expires_at;
end
$$;

-- The figures for a call that names p_operation. `available` is 2^53 - 1 at most, because no call
-- can take more at once, however much credits and overdraft add up to. Security definer, because
-- the view `remaining` calls it as the view's reader, who may not read the tables.
create or replace function credits_private.figures(
  p_account_id text, p_operation text, p_at timestamptz
) returns credits_private.figures
language plpgsql stable security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
declare
  v_account credits_private.account;
  v_effects credits_private.due_effect[];
  v_figures credits_private.figures;
  v_overdraft_held bigint;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id collate "default";
  v_effects := array(select e from credits_private.unbooked_effects(v_account, p_at) as e);

  select v_account.held - coalesce(sum(e.returned), 0),
    v_account.overdraft_held - coalesce(sum(e.returned) filter (where e.grant_id is null), 0),
    v_account.debt - coalesce(sum(e.replaced + e.repaid), 0)
  into v_figures.held, v_overdraft_held, v_figures.debt
  from unnest(v_effects) as e;

  select
    coalesce(sum(f.free)
      filter (where f.operations is null or p_operation collate "default" = any (f.operations)), 0),
    coalesce(sum(f.free) filter (where f.operations is not null), 0),
    min(f.expires_at) filter (where f.free > 0),
    sum(f.free) filter (where f.expires_at = f.next_expiry_at)
  into v_figures.available, v_figures.scoped, v_figures.next_expiry_at,
    v_figures.next_expiry_amount
  from (
    select f.*, min(f.expires_at) filter (where f.free > 0) over () as next_expiry_at
    from credits_private.free_credit(p_account_id collate "default", p_at, v_effects) as f
  ) as f;

  v_figures.available := case when v_account.closed_at is null then least(
    credits_private.max_amount(), v_figures.available
      + greatest(0, v_account.overdraft_limit - v_figures.debt - v_overdraft_held)) else 0 end;
  return v_figures;
end
$$;

-- What a deduction for p_operation may take. While nothing is due, as after every call, it is one
-- sum, or two figures of the account while a head is up.
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
  elsif v_account.head_grant_id is not null
    and (p_operation = any (v_account.scoped_operations)) is not true
  then
    return v_account.balance + v_account.available_above;
  end if;
  return least(credits_private.max_amount(), (
    select coalesce(sum(g.remaining - g.held), 0)
    from credits_private.remainders as g
    where g.account_id = p_account_id and g.is_open
      and (g.operations is null or p_operation = any (g.operations))
      and (g.expires_at is null or g.expires_at > p_at)
  ) + greatest(0, v_account.overdraft_limit - v_account.debt - v_account.overdraft_held));
end
$$;

-- The same for a call that names no operation, of an account as a call has it in hand.
create or replace function credits_private.available_of(
  p_account credits_private.account, p_at timestamptz
) returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
begin
  if p_account.head_grant_id is not null and p_account.due_at > p_at then
    return p_account.balance + p_account.available_above;
  end if;
  return credits_private.available(p_account.account_id, null, p_at);
end
$$;

-- What each grant of an account has at p_at: what is held then, and what remains, held or free.
-- Security definer, because the view `grants` calls it as the view's reader.
create or replace function credits_private.grants_at(p_account_id text, p_at timestamptz)
returns setof credits_private.grant_figures
language plpgsql stable security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
declare
  v_account credits_private.account;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id collate "default";

  return query
  select g.grant_id, sum(g.remaining)::bigint, sum(g.held)::bigint
  from (
    select g.grant_id, g.remaining, g.held
    from credits_private.remainders as g
    where g.account_id = p_account_id collate "default"
    union all
    select e.grant_id, e.begun - e.taken - e.replaced - e.expired - e.repaid, -e.returned
    from credits_private.unbooked_effects(v_account, p_at) as e
    where e.grant_id is not null
  ) as g
  group by g.grant_id;
end
$$;
