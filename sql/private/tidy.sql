-- Tidies up once p_amounts have become free in p_grant_ids. Everything that frees credit ends with
-- it: a grant, a refund, a release, a capture, a revocation, the end of a hold. In this order, each
-- in a transaction of its own:
--
-- 1. What was asked back of a grant, and not taken yet, is taken.
-- 2. Credit that cannot repay debt, because it is scoped or has expired, takes the place of the
--    debt that was booked for its revocation. Only p_amounts do: what came back earlier came before
--    that debt.
-- 3. Credit of a grant that has expired meanwhile expires.
-- 4. Free credit repays debt (debt_and_free_credit_never_coexist).
create or replace function credits_private.tidy(
  p_account credits_private.account, p_grant_ids bigint[], p_amounts bigint[],
  p_effective_at timestamptz, p_created_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_grant record;
  v_grant_id bigint;
  v_revoked bigint;
  v_owed bigint;
begin
  for v_n in 1 .. cardinality(p_grant_ids) loop
    v_grant_id := p_grant_ids[v_n];
    continue when v_grant_id is null; -- overdraft, or debt
    select
      coalesce(g.origin_grant_id, g.grant_id) as origin_grant_id, g.remaining - g.held as free,
      coalesce(g.expires_at <= p_effective_at, false) as is_expired,
      g.operations is not null as is_scoped, o.revoked - o.taken as owed
    into v_grant
    from credits_private.remainders as g
    join credits_private.grants as o
      on o.account_id = p_account.account_id
      and o.grant_id = coalesce(g.origin_grant_id, g.grant_id)
    where g.account_id = p_account.account_id and g.grant_id = v_grant_id;
    v_revoked := least(v_grant.owed, v_grant.free);

    if v_revoked > 0 then
      p_account := credits_private.take_back(p_account, v_grant.origin_grant_id,
        array[v_grant_id], array[v_revoked], p_effective_at, p_created_at);
    end if;
    if p_account.debt > 0 and (v_grant.is_expired or v_grant.is_scoped) then
      v_owed := least(least(p_amounts[v_n], v_grant.free) - greatest(0, v_revoked), p_account.debt,
        credits_private.revoked_debt(p_account.account_id, v_grant.origin_grant_id));
      if v_owed > 0 then
        p_account := credits_private.take_back(p_account, v_grant.origin_grant_id,
          array[null, v_grant_id], array[-v_owed, v_owed], p_effective_at, p_created_at);
      end if;
    end if;
    if v_grant.is_expired then
      p_account := credits_private.expire_grant(
        p_account, v_grant_id, p_effective_at, p_created_at);
    end if;
  end loop;

  if p_account.debt > 0 then
    p_account := credits_private.repay(p_account, p_effective_at, p_created_at);
  end if;
  return p_account;
end
$$;

-- The debt that is left of a grant's revocation: what was booked as debt, because the credit was
-- spent or held, less what has come back to the grant or its re-grants since and repaid debt. What
-- comes back and cannot repay, because it is scoped or has expired, is taken in place of this debt.
create or replace function credits_private.revoked_debt(p_account_id text, p_origin_grant_id bigint)
returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_booked bigint;
  v_first_id bigint;
begin
  select -sum(e.amount), min(e.entry_id) into v_booked, v_first_id
  from credits_private.entries as e
  where e.account_id = p_account_id and e.kind = 'revocation' and e.grant_id is null
    and e.revoked_grant_id = p_origin_grant_id;
  return coalesce(v_booked + (
    select coalesce(sum(e.amount), 0)
    from credits_private.entries as e
    join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
    where e.account_id = p_account_id and e.kind = 'repay' and e.entry_id > v_first_id
      and coalesce(g.origin_grant_id, g.grant_id) = p_origin_grant_id), 0);
end
$$;

-- Writes the entries of a revocation of p_origin_grant_id.
create or replace function credits_private.take_back(
  p_account credits_private.account, p_origin_grant_id bigint, p_grant_ids bigint[],
  p_amounts bigint[], p_effective_at timestamptz, p_created_at timestamptz,
  p_idempotency_key text = null, p_metadata jsonb = null
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_entry credits_private.entry;
begin
  v_entry.kind := 'revocation';
  v_entry.revoked_grant_id := p_origin_grant_id;
  v_entry.effective_at := p_effective_at;
  v_entry.created_at := p_created_at;
  v_entry.idempotency_key := p_idempotency_key;
  v_entry.metadata := nullif(p_metadata, '{}');
  return credits_private.write_entries(p_account, v_entry, p_grant_ids, p_amounts, p_sign => -1);
end
$$;

-- Repays debt with free unscoped credit, in burn-down order. Each repayment is two entries, one out
-- of the grant and one off the debt, so the balance stays the same.
create or replace function credits_private.repay(
  p_account credits_private.account, p_effective_at timestamptz, p_created_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_draw credits_private.draw := credits_private.draw(
    p_account.account_id, p_account.debt, p_operation => null, p_at => p_effective_at,
    p_overdraft => 0);
  v_grant_ids bigint[] := '{}'::bigint[];
  v_amounts bigint[] := '{}'::bigint[];
  v_entry credits_private.entry;
begin
  for v_n in 1 .. cardinality(v_draw.grant_ids) loop
    v_grant_ids := array_append(v_grant_ids || v_draw.grant_ids[v_n], null);
    v_amounts := v_amounts || -v_draw.amounts[v_n] || v_draw.amounts[v_n];
  end loop;
  if v_grant_ids = '{}' then
    return p_account;
  end if;
  v_entry.kind := 'repay';
  v_entry.effective_at := p_effective_at;
  v_entry.created_at := p_created_at;
  return credits_private.write_entries(p_account, v_entry, v_grant_ids, v_amounts);
end
$$;

-- How much debt went after p_transaction_id, the transaction of the call that asks: repaid by the
-- credit that the call freed, or replaced by it.
create or replace function credits_private.repaid(p_account_id text, p_transaction_id bigint)
returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return (
    select coalesce(sum(e.amount), 0)
    from (
      -- Ordered, so that Postgres reads the last entries by the primary key.
      select e.kind, e.grant_id, e.amount
      from credits_private.entries as e
      where e.account_id = p_account_id and e.entry_id > p_transaction_id
      order by e.entry_id
    ) as e
    where e.kind in ('repay', 'revocation') and e.grant_id is null);
end
$$;
