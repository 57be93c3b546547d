-- The parts of a revocation.

create or replace function credits_private.check_revocation(
  p_account_id text, p_grant_id bigint, p_idempotency_key text, p_amount bigint,
  p_on_spent text, p_metadata jsonb
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  if p_grant_id is null or p_grant_id < 1 then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_grant_id',
      'a grant id must be a whole number from 1', 'Pass the grant_id that grant_credits returned.');
  end if;
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);
  perform credits_private.check_amount(p_account_id, 'p_amount', coalesce(p_amount, 1));
  perform credits_private.check_metadata(p_account_id, p_metadata);
  if p_on_spent is null or p_on_spent not in ('clamp', 'debt') then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_on_spent',
      'no such way to revoke what is spent', 'Pass clamp or debt.');
  end if;
end
$$;

-- Notes how much of a grant is asked back: more than before, and never more than was granted less
-- what has expired of the grant and its re-grants. That is gone already, and nothing that comes
-- back is taken in its place. Returns the grant that was granted, even if p_grant_id is a grant
-- that a refund made of it, and what it still owes of all that was asked back. A scheduled grant
-- that is asked back whole is cancelled.
create or replace function credits_private.ask_back(
  p_account_id text, p_grant_id bigint, p_amount bigint, p_on_spent text, p_at timestamptz,
  out grant_id bigint, out owed bigint, out has_arrived boolean, out is_cancelled boolean
)
language plpgsql
set search_path = pg_temp
as $$
declare
  v_grant record;
  v_gone bigint;
begin
  select g.* into v_grant
  from credits_private.grants as x
  join credits_private.grants as g
    on g.account_id = x.account_id and g.grant_id = coalesce(x.origin_grant_id, x.grant_id)
  where x.account_id = p_account_id and x.grant_id = p_grant_id;
  if not found then
    perform credits_private.raise_error('PT404', 'no such grant',
      jsonb_build_object('account_id', p_account_id, 'grant_id', p_grant_id),
      'Pass the grant_id that grant_credits returned; a repeat of that call returns it, too.');
  end if;
  select coalesce(-sum(e.amount), 0) into v_gone
  from credits_private.entries as e
  join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
  where e.account_id = p_account_id and e.kind = 'expiry'
    and (g.grant_id = v_grant.grant_id or g.origin_grant_id = v_grant.grant_id);

  -- Each call is a row, whose trigger increases what is asked back.
  insert into credits_private.revocations as r (
    account_id, grant_id, revocation_id, requested, amount, on_spent, created_at)
  select p_account_id, v_grant.grant_id, count(*) + 1, coalesce(p_amount, v_grant.amount),
    greatest(0, least(v_grant.amount - v_gone - v_grant.revoked,
      coalesce(p_amount, v_grant.amount))), p_on_spent, p_at
  from credits_private.revocations as r
  where r.account_id = p_account_id and r.grant_id = v_grant.grant_id;
  select g.revoked into v_grant.revoked
  from credits_private.grants as g
  where g.account_id = p_account_id and g.grant_id = v_grant.grant_id;
  if v_grant.is_scheduled and v_grant.revoked = v_grant.amount then
    v_grant.cancelled_at := p_at;
    update credits_private.grants as g
    set is_scheduled = false, cancelled_at = p_at
    where g.account_id = p_account_id and g.grant_id = v_grant.grant_id;
  end if;

  grant_id := v_grant.grant_id;
  owed := v_grant.revoked - v_grant.taken;
  has_arrived := v_grant.last_entry_id > 0;
  is_cancelled := v_grant.cancelled_at is not null;
end
$$;

-- What a revocation can take now: what is free of the grant and its re-grants, and, with
-- p_books_debt, the rest as debt.
create or replace function credits_private.revocation_parts(
  p_account_id text, p_grant_id bigint, p_owed bigint, p_books_debt boolean,
  out grant_ids bigint[], out amounts bigint[]
)
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_free record;
  v_left bigint := p_owed;
begin
  grant_ids := '{}';
  amounts := '{}';
  for v_free in
    select g.grant_id, g.remaining - g.held as amount
    from credits_private.remainders as g
    where g.account_id = p_account_id and g.is_open and g.remaining > g.held
      and (g.grant_id = p_grant_id or g.origin_grant_id = p_grant_id)
    order by g.grant_id
  loop
    exit when v_left = 0;
    grant_ids := grant_ids || v_free.grant_id;
    amounts := amounts || least(v_free.amount, v_left);
    v_left := v_left - least(v_free.amount, v_left);
  end loop;

  if p_books_debt and v_left > 0 then
    grant_ids := array_append(grant_ids, null);
    amounts := amounts || v_left;
  end if;
end
$$;

create or replace function credits_private.revoke_grant_at(
  p_account_id text, p_grant_id bigint, p_idempotency_key text, p_amount bigint, p_on_spent text,
  p_metadata jsonb, p_at timestamptz
) returns credits.revoke_grant_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_request credits_private.request;
  v_account credits_private.account;
  v_grant record;
  v_take record;
  v_taken bigint;
  v_transaction_id bigint;
  v_result credits.revoke_grant_result;
begin
  perform credits_private.check_revocation(
    p_account_id, p_grant_id, p_idempotency_key, p_amount, p_on_spent, p_metadata);
  v_request := credits_private.begin_request(p_account_id, p_idempotency_key, 'revoke_grant',
    jsonb_build_object(
      'grant_id', p_grant_id, 'amount', p_amount, 'on_spent', nullif(p_on_spent, 'clamp')),
    p_at);
  if v_request.answer is not null then
    return jsonb_populate_record(v_result, v_request.answer);
  end if;
  v_account := v_request.account;

  v_grant := credits_private.ask_back(
    p_account_id, p_grant_id, p_amount, p_on_spent, v_request.at);
  v_take := credits_private.revocation_parts(p_account_id, v_grant.grant_id, v_grant.owed,
    p_on_spent = 'debt' and v_grant.has_arrived);
  v_taken := (select coalesce(sum(a), 0) from unnest(v_take.amounts) as a);
  if v_taken > 0 then
    v_transaction_id := v_account.last_entry_id + 1;
    v_account := credits_private.take_back(v_account, v_grant.grant_id, v_take.grant_ids,
      v_take.amounts, v_request.at, v_request.at, p_idempotency_key, p_metadata);
    v_account := credits_private.tidy(v_account, p_grant_ids => '{}', p_amounts => '{}',
      p_effective_at => v_request.at, p_created_at => v_request.at);
    -- With this bound, no balance falls below -(2^53 - 1), even if a hold's overdraft is captured,
    -- because what remains of the grants is never negative.
    if v_account.debt + v_account.overdraft_held > credits_private.max_amount() then
      perform credits_private.raise_invalid_argument(p_account_id, 'p_amount',
        'a debt must not exceed 9007199254740991', 'Revoke with ''clamp'', or less.');
    end if;
  else
    update credits_private.accounts as a set last_created_at = v_request.at
    where a.account_id = p_account_id;
  end if;

  v_result := (v_grant.grant_id, v_transaction_id, v_taken, v_account.balance,
    credits_private.available(p_account_id, null, v_request.at), false,
    case when v_grant.is_cancelled then 0 else v_grant.owed - v_taken end
    )::credits.revoke_grant_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint,
    v_transaction_id, v_result.available, to_jsonb(v_result)
      || jsonb_build_object('requested', p_amount, 'on_spent', p_on_spent, 'revocation_id', (
        select max(r.revocation_id)
        from credits_private.revocations as r
        where r.account_id = p_account_id and r.grant_id = v_grant.grant_id)));
  return v_result;
end
$$;
