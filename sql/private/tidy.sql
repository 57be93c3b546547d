-- What must not stay once credit has become free in p_grant_ids, in transactions of their own: what
-- was revoked of a grant is taken, what has expired meanwhile expires, and debt is repaid
-- (debt_and_free_credit_never_coexist). Whatever frees credit ends with it: a grant, a refund, a
-- release, a capture, a revocation, the end of a hold.
create or replace function credits_private.tidy(
  p_account credits_private.accounts, p_grant_ids bigint[], p_effective_at timestamptz,
  p_created_at timestamptz
) returns credits_private.accounts
language plpgsql
set search_path = pg_temp
as $$
declare
  v_grant record;
  v_grant_id bigint;
  v_revoked bigint;
begin
  foreach v_grant_id in array p_grant_ids loop
    select
      coalesce(g.origin_grant_id, g.grant_id) as origin_grant_id, g.remaining - g.held as free,
      coalesce(g.expires_at <= p_effective_at, false) as is_expired
    into v_grant
    from credits_private.grants as g
    where g.account_id = p_account.account_id and g.grant_id = v_grant_id;
    select least(g.revoked - g.taken, v_grant.free) into v_revoked
    from credits_private.grants as g
    where g.account_id = p_account.account_id and g.grant_id = v_grant.origin_grant_id;

    if v_revoked > 0 then
      p_account := credits_private.take_back(p_account, v_grant.origin_grant_id,
        array[v_grant_id], array[v_revoked], p_effective_at, p_created_at);
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

revoke all on function
  credits_private.tidy(credits_private.accounts, bigint[], timestamptz, timestamptz) from public;

-- Writes the entries of a revocation of p_origin_grant_id.
create or replace function credits_private.take_back(
  p_account credits_private.accounts, p_origin_grant_id bigint, p_grant_ids bigint[],
  p_amounts bigint[], p_effective_at timestamptz, p_created_at timestamptz,
  p_idempotency_key text = null, p_metadata jsonb = null
) returns credits_private.accounts
language plpgsql
set search_path = pg_temp
as $$
declare
  v_entry credits_private.entries;
begin
  v_entry.kind := 'revocation';
  v_entry.revoked_grant_id := p_origin_grant_id;
  v_entry.effective_at := p_effective_at;
  v_entry.created_at := p_created_at;
  v_entry.idempotency_key := p_idempotency_key;
  v_entry.metadata := nullif(p_metadata, '{}');
  return credits_private.write_entries(p_account, v_entry, p_grant_ids, p_amounts, -1);
end
$$;

revoke all on function credits_private.take_back(credits_private.accounts, bigint, bigint[],
  bigint[], timestamptz, timestamptz, text, jsonb) from public;

-- Free unscoped credit repays debt, in burn-down order: out of the grant, and off the debt. The
-- balance is the same after it.
create or replace function credits_private.repay(
  p_account credits_private.accounts, p_effective_at timestamptz, p_created_at timestamptz
) returns credits_private.accounts
language plpgsql
set search_path = pg_temp
as $$
declare
  v_draw credits_private.draw := credits_private.draw(
    p_account.account_id, p_account.debt, null, p_effective_at, 0);
  v_grant_ids bigint[] := '{}'::bigint[];
  v_amounts bigint[] := '{}'::bigint[];
  v_entry credits_private.entries;
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

revoke all on function
  credits_private.repay(credits_private.accounts, timestamptz, timestamptz) from public;

-- How much debt a call repaid after its own transaction, which is the last one that it wrote.
create or replace function credits_private.repaid(p_account_id text, p_transaction_id bigint)
returns bigint
language sql stable
set search_path = pg_temp
as $$
  select coalesce(sum(e.amount), 0)::bigint
  from credits_private.entries as e
  where e.account_id = p_account_id and e.kind = 'repay' and e.grant_id is null
    and e.entry_id > p_transaction_id
$$;

revoke all on function credits_private.repaid(text, bigint) from public;
