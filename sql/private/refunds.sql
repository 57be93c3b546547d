-- The parts of a refund.

-- What is left to refund of each entry of a transaction. Read under the account's lock: two refunds
-- of one transaction see each other (refunds_never_exceed_the_original).
create or replace function credits_private.refundable_entries(
  p_account_id text, p_transaction_id bigint
) returns table (entry_id bigint, grant_id bigint, refundable bigint)
language sql stable
set search_path = ''
as $$
  select e.entry_id, e.grant_id, -e.amount - coalesce(r.refunded, 0)
  from credits_private.entries as t
  join credits_private.entries as e
    on e.account_id = t.account_id
    and e.entry_id between t.entry_id and t.entry_id + t.entry_count - 1
  left join lateral (
    select sum(r.amount)::bigint as refunded
    from credits_private.entries as r
    where r.account_id = e.account_id and r.refunded_entry_id = e.entry_id
  ) as r on true
  where t.account_id = p_account_id and t.entry_id = p_transaction_id and e.kind = 'deduction'
$$;

revoke all on function credits_private.refundable_entries(text, bigint) from public;

-- The amount to refund: p_amount, or all that is left.
create or replace function credits_private.check_refund(
  p_account_id text, p_transaction_id bigint, p_amount bigint
) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  v_kind text;
  v_refundable bigint;
begin
  select e.kind into v_kind
  from credits_private.entries as e
  where e.account_id = p_account_id and e.entry_id = p_transaction_id
    and e.transaction_id = p_transaction_id;
  if not found then
    perform credits_private.raise_error('PT404', 'no such transaction',
      jsonb_build_object('account_id', p_account_id, 'transaction_id', p_transaction_id),
      'Pass the transaction_id that deduct_credits returned.');
  elsif v_kind <> 'deduction' then
    perform credits_private.raise_error('PT409', 'only a deduction can be refunded',
      jsonb_build_object('account_id', p_account_id, 'transaction_id', p_transaction_id,
        'kind', v_kind, 'requested', p_amount, 'refundable', 0),
      'Pass the transaction_id that deduct_credits returned.',
      'refunds_never_exceed_the_original');
  end if;

  select sum(r.refundable) into v_refundable
  from credits_private.refundable_entries(p_account_id, p_transaction_id) as r;
  if v_refundable < coalesce(p_amount, 1) then
    perform credits_private.raise_error('PT409', 'refund of more than is left',
      jsonb_build_object('account_id', p_account_id, 'transaction_id', p_transaction_id,
        'requested', p_amount, 'refundable', v_refundable),
      'Refund no more than is left of the deduction.', 'refunds_never_exceed_the_original');
  end if;
  return coalesce(p_amount, v_refundable);
end
$$;

revoke all on function credits_private.check_refund(text, bigint, bigint) from public;

-- Where a refunded part goes: the grant that it came from, or, if that has expired, a new one with
-- the same priority and scope, valid for 30 days. A grant that was spent has something to expire
-- again, so the account is due then.
create or replace function credits_private.refund_target(
  p_account credits_private.accounts, p_grant_id bigint, p_amount bigint, p_at timestamptz
) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  v_grant credits_private.grants;
begin
  select g.* into v_grant
  from credits_private.grants as g
  where g.account_id = p_account.account_id and g.grant_id = p_grant_id;

  if v_grant.expires_at <= p_at then
    -- 720 hours, not 30 days: how long those are would depend on the session's time zone.
    p_account := credits_private.insert_grant(p_account, p_amount, 'refund', v_grant.priority,
      v_grant.operations, p_at, p_at + interval '720 hours', p_grant_id, null, null, '{}', p_at);
    return p_account.last_grant_id;
  elsif v_grant.expires_at is not null then
    update credits_private.accounts as a
    set due_at = least(a.due_at, v_grant.expires_at)
    where a.account_id = p_account.account_id;
  end if;
  return p_grant_id;
end
$$;

revoke all on function
  credits_private.refund_target(credits_private.accounts, bigint, bigint, timestamptz) from public;

-- Writes the entries of a refund, in reverse order of drawing. They carry the deduction's API key,
-- operation and run, so that they lower the usage that it raised.
create or replace function credits_private.write_refund(
  p_account credits_private.accounts, p_transaction_id bigint, p_amount bigint,
  p_idempotency_key text, p_metadata jsonb, p_at timestamptz
) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_part record;
  v_amount bigint;
  v_left bigint := p_amount;
  v_entry_ids bigint[] := '{}';
  v_grant_ids bigint[] := '{}';
  v_amounts bigint[] := '{}';
begin
  for v_part in
    select r.entry_id, r.grant_id, r.refundable
    from credits_private.refundable_entries(p_account.account_id, p_transaction_id) as r
    where r.refundable > 0
    order by r.entry_id desc
  loop
    v_amount := least(v_part.refundable, v_left);
    v_left := v_left - v_amount;
    v_entry_ids := v_entry_ids || v_part.entry_id;
    v_grant_ids := v_grant_ids
      || credits_private.refund_target(p_account, v_part.grant_id, v_amount, p_at);
    v_amounts := v_amounts || v_amount;
    exit when v_left = 0;
  end loop;

  insert into credits_private.entries (
    account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount, balance_after,
    period, effective_at, created_at, api_key_id, operation, run_id, refunded_transaction_id,
    refunded_entry_id, idempotency_key, metadata
  )
  select
    p_account.account_id, p_account.last_entry_id + p.n, p_account.last_entry_id + 1,
    cardinality(v_entry_ids), 'refund', p.grant_id, p.amount,
    p_account.balance + sum(p.amount) over (order by p.n),
    p_account.period, p_at, p_at, t.api_key_id, t.operation, t.run_id, p_transaction_id,
    p.entry_id,
    case when p.n = 1 then p_idempotency_key end,
    case when p.n = 1 then nullif(p_metadata, '{}') end
  from unnest(v_entry_ids, v_grant_ids, v_amounts)
    with ordinality as p (entry_id, grant_id, amount, n)
  join credits_private.entries as t
    on t.account_id = p_account.account_id and t.entry_id = p_transaction_id
  order by p.n;
end
$$;

revoke all on function credits_private.write_refund(
  credits_private.accounts, bigint, bigint, text, jsonb, timestamptz) from public;
