-- requires: private/remainders.sql
--
-- The head of an account: the grant in front, while plain deductions draw on it alone
-- (ARCHITECTURE.md).

-- What an account's head would be, if it were taken up now: the first unscoped grant in burn-down
-- order, what is free of it, what is available, and the operations that may draw on other grants
-- first. No grant if there is none, or if available is cut off at 2^53 - 1. Call it under the
-- account's lock, after settling.
create or replace function credits_private.front(
  p_account_id text, out grant_id bigint, out free bigint, out available bigint,
  out scoped_operations text[]
)
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_account record;
  v_grant record;
begin
  select a.last_created_at, a.closed_at,
    greatest(0, a.overdraft_limit - a.debt - a.overdraft_held) as overdraft
  into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id;
  available := v_account.overdraft;
  for v_grant in
    select g.grant_id, g.remaining - g.held as free, g.operations,
      coalesce(g.expires_at <= v_account.last_created_at, false) as is_expired
    from credits_private.remainders as g
    where g.account_id = p_account_id and g.is_open
    order by g.priority, g.operations is null, g.expires_at nulls last,
      g.source = 'purchase', g.effective_at, g.grant_id
  loop
    if v_grant.operations is not null then
      scoped_operations := scoped_operations || v_grant.operations;
    elsif not v_grant.is_expired then
      available := available + v_grant.free;
      if grant_id is null then
        grant_id := v_grant.grant_id;
        free := v_grant.free;
      end if;
    end if;
  end loop;
  if available > credits_private.max_amount() or v_account.closed_at is not null then
    grant_id := null;
  end if;
  scoped_operations := array(
    select distinct o.operation collate "C" from unnest(scoped_operations) as o (operation)
    order by 1);
  scoped_operations := nullif(scoped_operations, '{}');
end
$$;

-- Takes up the head, if the entry before a deduction was one, too, and on the same grant: where
-- deductions alternate with other calls, a head would cost more than it saves. A head without free
-- credit is not taken up: no deduction on it would be plain.
create or replace function credits_private.take_up_head(
  p_account_id text, p_previous_entry_id bigint
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_front record;
begin
  perform
  from credits_private.entries as e
  where e.account_id = p_account_id and e.entry_id = p_previous_entry_id and e.kind = 'deduction';
  if not found then
    return;
  end if;
  v_front := credits_private.front(p_account_id);
  if v_front.grant_id is null or v_front.free = 0 then
    return;
  end if;
  update credits_private.accounts as a
  set head_grant_id = v_front.grant_id,
    head_balance = a.balance,
    plain_above = a.balance - v_front.free,
    available_above = v_front.available - a.balance,
    scoped_operations = v_front.scoped_operations
  where a.account_id = p_account_id;
end
$$;

-- Puts the head down, if one is up: what was drawn from it is written to its grant. Whatever writes
-- an entry that is not plain calls it first, because the entries' trigger refuses such an entry
-- while a head is up; so does what changes the overdraft or who is in front. While a head is up, it
-- alone is drawn on, so the account's last entry is its last one. One statement, so that the guard
-- sees both rows changed.
create or replace function credits_private.put_down_head(p_account credits_private.account)
returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_account.head_grant_id is null then
    return p_account;
  end if;
  with drawn as (
    update credits_private.grants as g
    set
      remaining = g.remaining - (p_account.head_balance - p_account.balance),
      last_entry_id = p_account.last_entry_id
    where g.account_id = p_account.account_id and g.grant_id = p_account.head_grant_id
      and p_account.head_balance > p_account.balance
  )
  update credits_private.accounts as a
  set head_grant_id = null, head_balance = null, plain_above = credits_private.max_amount() + 1,
    available_above = 0, scoped_operations = null
  where a.account_id = p_account.account_id;
  p_account.head_grant_id := null;
  p_account.head_balance := null;
  p_account.plain_above := credits_private.max_amount() + 1;
  p_account.available_above := 0;
  p_account.scoped_operations := null;
  return p_account;
end
$$;

-- The same for a caller that does not have the account in hand.
create or replace function credits_private.put_down_head_of(p_account_id text)
returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id;
  perform credits_private.put_down_head(v_account);
end
$$;

-- The guard of the head. It is taken up as what is in front, where no head was up. It is put down
-- once what was drawn from it stands on its grant. In between, only parts of holds change its
-- figures.
create or replace function credits_private.refuse_unless_in_front() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  if new.head_grant_id is null then
    perform
    where new.head_balance is null and new.plain_above = credits_private.max_amount() + 1
      and new.available_above = 0 and new.scoped_operations is null
      and (old.head_grant_id is null or old.head_balance = new.balance or exists (
        select from credits_private.grants as g
        where g.account_id = new.account_id and g.grant_id = old.head_grant_id
          and g.last_entry_id = new.last_entry_id));
  else
    perform
    from credits_private.front(new.account_id) as f
    where old.head_grant_id is null and f.grant_id = new.head_grant_id
      and new.head_balance = new.balance and new.plain_above = new.balance - f.free
      and new.available_above = f.available - new.balance
      and new.scoped_operations is not distinct from f.scoped_operations;
  end if;
  if not found then
    perform credits_private.raise_change_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;
  return null;
end
$$;
