-- What an account has at a moment, from rows alone, whether or not what is due has been settled.

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
    select v_account.held - coalesce(sum(d.amount), 0),
      coalesce(sum(d.amount) filter (where d.grant_id is null), 0)
    into v_figures.held, v_overdraft_returned
    from credits_private.due_credit(p_account_id collate "default", p_at) as d
    where d.kind = 'hold expires';
  end if;

  v_figures.available := case when v_account.closed_at is null then least(
    credits_private.max_amount(),
    v_figures.available + greatest(0, v_account.overdraft_limit - v_figures.debt
      - (v_account.overdraft_held - v_overdraft_returned))) else 0 end;
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
begin
  return query
  with free as (
    select f.grant_id, sum(f.free) as amount
    from credits_private.free_credit(p_account_id collate "default", p_at) as f
    group by f.grant_id
  ), returned as (
    select d.grant_id, sum(d.amount) as amount
    from credits_private.due_credit(p_account_id collate "default", p_at) as d
    where d.kind = 'hold expires'
    group by d.grant_id
  )
  select g.grant_id, (g.held - coalesce(r.amount, 0) + coalesce(f.amount, 0))::bigint,
    (g.held - coalesce(r.amount, 0))::bigint
  from credits_private.grants as g
  left join free as f on f.grant_id = g.grant_id
  left join returned as r on r.grant_id = g.grant_id
  where g.account_id = p_account_id collate "default";
end
$$;
