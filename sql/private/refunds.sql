-- The parts of a refund.

-- What is left to refund of each entry of a transaction. Call it under the account's lock, so that
-- two refunds of one transaction see each other (refunds_never_exceed_the_original). The last entry
-- is looked up first, and what is read is ordered: joined on a range of another row's columns,
-- Postgres 15 reads an account's whole ledger, twice. Not in SQL, because Postgres before 18 plans
-- an SQL function anew at each call, which takes longer than everything else here.
create or replace function credits_private.refundable_entries(
  p_account_id text, p_transaction_id bigint
) returns table (entry_id bigint, grant_id bigint, refundable bigint)
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_last_id bigint;
begin
  select e.entry_id + e.entry_count - 1 into v_last_id
  from credits_private.entries as e
  where e.account_id = p_account_id and e.entry_id = p_transaction_id;
  return query
  select e.entry_id, e.grant_id, -e.amount - coalesce(r.refunded, 0)
  from (
    select e.entry_id, e.grant_id, e.amount, e.kind
    from credits_private.entries as e
    where e.account_id = p_account_id and e.entry_id between p_transaction_id and v_last_id
    order by e.entry_id
  ) as e
  cross join lateral (
    select sum(r.amount)::bigint as refunded
    from (
      select r.amount
      from credits_private.entries as r
      where r.account_id = p_account_id and r.kind = 'refund' and r.refunded_entry_id = e.entry_id
      order by r.refunded_entry_id, r.hold_id
    ) as r
  ) as r
  where e.kind in ('deduction', 'capture');
end
$$;

-- What has been refunded of a transaction; 0 for null. Its refunds are looked up by the entries
-- that they give back: Postgres expects few entries of an account that has grown, and would take
-- any index.
create or replace function credits_private.refunded(p_account_id text, p_transaction_id bigint)
returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_last_id bigint;
begin
  select e.entry_id + e.entry_count - 1 into v_last_id
  from credits_private.entries as e
  where e.account_id = p_account_id and e.entry_id = p_transaction_id;
  return (
    select coalesce(sum(r.amount), 0)::bigint
    from (
      select r.amount
      from credits_private.entries as r
      where r.account_id = p_account_id and r.kind = 'refund'
        and r.refunded_entry_id between p_transaction_id and v_last_id
      order by r.refunded_entry_id, r.hold_id
    ) as r);
end
$$;

-- The amount to refund: p_amount, or all that is left.
create or replace function credits_private.refund_amount(
  p_account_id text, p_transaction_id bigint, p_amount bigint
) returns bigint
language plpgsql
set search_path = pg_temp
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
      'Pass the transaction_id that deduct_credits or capture_hold returned.');
  elsif v_kind not in ('deduction', 'capture') then
    perform credits_private.raise_error('PT409', 'only a deduction or capture can be refunded',
      jsonb_build_object('account_id', p_account_id, 'transaction_id', p_transaction_id,
        'kind', v_kind, 'requested', p_amount, 'refundable', 0),
      'Pass the transaction_id that deduct_credits or capture_hold returned.',
      'refunds_never_exceed_the_original');
  end if;

  select sum(r.refundable) into v_refundable
  from credits_private.refundable_entries(p_account_id, p_transaction_id) as r;
  if v_refundable < coalesce(p_amount, 1) then
    perform credits_private.raise_error('PT409', 'refund of more than is left',
      jsonb_build_object('account_id', p_account_id, 'transaction_id', p_transaction_id,
        'requested', p_amount, 'refundable', v_refundable),
      'Refund no more than what is left of the deduction.', 'refunds_never_exceed_the_original');
  end if;
  return coalesce(p_amount, v_refundable);
end
$$;

-- Where a part that came from a grant goes: back to the grant, or, if it has expired, to a new one
-- with the same priority and scope, valid for 30 days. The new grant's origin is the grant that was
-- granted, even if a re-grant has expired. A spent grant that gets credits back has something to
-- expire again, so the account is due then.
create or replace function credits_private.refund_target(
  p_account credits_private.account, p_grant_id bigint, p_amount bigint, p_at timestamptz,
  out account credits_private.account, out grant_id bigint
)
language plpgsql
set search_path = pg_temp
as $$
declare
  v_grant record;
begin
  select g.priority, g.operations, g.expires_at, g.origin_grant_id into v_grant
  from credits_private.grants as g
  where g.account_id = p_account.account_id and g.grant_id = p_grant_id;

  account := p_account;
  grant_id := p_grant_id;
  if v_grant.expires_at <= p_at then
    -- 720 hours, not 30 days, whose length would depend on the session's time zone.
    account := credits_private.insert_grant(p_account, p_amount, 'refund', v_grant.priority,
      v_grant.operations, p_at, p_at + interval '720 hours',
      coalesce(v_grant.origin_grant_id, p_grant_id), p_paid_amount => null,
      p_paid_currency => null, p_metadata => '{}', p_at => p_at);
    grant_id := account.last_grant_id;
  elsif v_grant.expires_at is not null then
    update credits_private.accounts as a
    set due_at = least(a.due_at, v_grant.expires_at)
    where a.account_id = p_account.account_id;
  end if;
end
$$;

-- Which grants repaid debt, latest first, and how much of that has not gone back to them yet.
create or replace function credits_private.repayments(p_account_id text)
returns table (entry_id bigint, grant_id bigint, amount bigint)
language sql stable
set search_path = pg_temp
as $$
  select e.entry_id, e.grant_id, -e.amount - coalesce(r.returned, 0)
  from credits_private.entries as e
  left join (
    select r.repaid_entry_id, sum(r.amount)::bigint as returned
    from credits_private.entries as r
    where r.account_id = p_account_id and r.kind = 'refund' and r.repaid_entry_id is not null
    group by r.repaid_entry_id
  ) as r on r.repaid_entry_id = e.entry_id
  where e.account_id = p_account_id and e.kind = 'repay' and e.grant_id is not null
    and -e.amount > coalesce(r.returned, 0)
  order by e.entry_id desc
$$;

-- Where p_amount of a transaction goes, in reverse order of drawing. A part that was debt lowers
-- what is still owed; what has been repaid of it since goes back to the grants that repaid it.
create or replace function credits_private.refund_parts(
  p_account credits_private.account, p_transaction_id bigint, p_amount bigint
) returns table (amount bigint, grant_id bigint, refunded_entry_id bigint, repaid_entry_id bigint)
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_part record;
  v_repayment record;
  v_owed bigint := p_account.debt;
  v_repaid bigint := 0;
  v_left bigint := p_amount;
  v_rest bigint;
  v_before bigint;
begin
  for v_part in
    select r.entry_id, r.grant_id, r.refundable
    from credits_private.refundable_entries(p_account.account_id, p_transaction_id) as r
    where r.refundable > 0
    order by r.entry_id desc
  loop
    exit when v_left = 0;
    v_rest := least(v_part.refundable, v_left);
    v_left := v_left - v_rest;
    refunded_entry_id := v_part.entry_id;
    grant_id := v_part.grant_id;
    repaid_entry_id := null;
    amount := case when v_part.grant_id is null then least(v_rest, v_owed) else v_rest end;
    if amount > 0 then
      return next;
    end if;
    continue when v_part.grant_id is not null;

    v_owed := v_owed - amount;
    v_rest := v_rest - amount;
    v_before := 0;
    for v_repayment in select r.* from credits_private.repayments(p_account.account_id) as r loop
      exit when v_rest = 0;
      -- The first v_repaid of them went to an earlier part of this refund.
      amount := least(v_rest, v_repayment.amount - least(
        v_repayment.amount, greatest(0, v_repaid - v_before)));
      v_before := v_before + v_repayment.amount;
      continue when amount = 0;
      grant_id := v_repayment.grant_id;
      repaid_entry_id := v_repayment.entry_id;
      v_rest := v_rest - amount;
      v_repaid := v_repaid + amount;
      return next;
    end loop;
  end loop;
end
$$;

-- Writes the entries of a refund. They carry the original's API key, operation and run, so that
-- they lower the usage that it raised.
create or replace function credits_private.write_refund(
  p_account credits_private.account, p_transaction_id bigint, p_amount bigint,
  p_idempotency_key text, p_metadata jsonb, p_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_part record;
  v_target record;
  v_entry credits_private.entry;
  v_grant_ids bigint[] := '{}'::bigint[];
  v_amounts bigint[] := '{}'::bigint[];
  v_refunded_entry_ids bigint[] := '{}'::bigint[];
  v_repaid_entry_ids bigint[] := '{}'::bigint[];
begin
  for v_part in
    select p.* from credits_private.refund_parts(p_account, p_transaction_id, p_amount) as p
  loop
    if v_part.grant_id is null then
      v_grant_ids := array_append(v_grant_ids, null);
    else
      v_target := credits_private.refund_target(
        p_account, v_part.grant_id, v_part.amount, p_at);
      p_account := v_target.account;
      v_grant_ids := v_grant_ids || v_target.grant_id;
    end if;
    v_amounts := v_amounts || v_part.amount;
    v_refunded_entry_ids := v_refunded_entry_ids || v_part.refunded_entry_id;
    v_repaid_entry_ids := array_append(v_repaid_entry_ids, v_part.repaid_entry_id);
  end loop;

  select t.api_key_id, t.operation, t.run_id
  into v_entry.api_key_id, v_entry.operation, v_entry.run_id
  from credits_private.entries as t
  where t.account_id = p_account.account_id and t.entry_id = p_transaction_id;
  v_entry.kind := 'refund';
  v_entry.refunded_transaction_id := p_transaction_id;
  v_entry.effective_at := p_at;
  v_entry.created_at := p_at;
  v_entry.idempotency_key := p_idempotency_key;
  v_entry.metadata := nullif(p_metadata, '{}');
  p_account := credits_private.write_entries(p_account, v_entry, v_grant_ids, v_amounts,
    p_sign => 1, p_refunded_entry_ids => v_refunded_entry_ids,
    p_repaid_entry_ids => v_repaid_entry_ids);
  return credits_private.tidy(p_account, v_grant_ids, v_amounts, p_at, p_at);
end
$$;

create or replace function credits_private.refund_credits_at(
  p_account_id text, p_transaction_id bigint, p_idempotency_key text, p_amount bigint,
  p_metadata jsonb, p_at timestamptz
) returns credits.refund_credits_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_request credits_private.request;
  v_account credits_private.account;
  v_amount bigint;
  v_transaction_id bigint;
  v_result credits.refund_credits_result;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  if p_transaction_id is null or p_transaction_id < 1 then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_transaction_id',
      'a transaction id must be a whole number from 1',
      'Pass the transaction_id that deduct_credits or capture_hold returned.');
  end if;
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);
  perform credits_private.check_amount(p_account_id, 'p_amount', coalesce(p_amount, 1));
  perform credits_private.check_metadata(p_account_id, p_metadata);

  v_request := credits_private.begin_request(p_account_id, p_idempotency_key, 'refund_credits',
    jsonb_build_object('transaction_id', p_transaction_id, 'amount', p_amount), p_at);
  if v_request.answer is not null then
    v_result.repaid := 0;
    return jsonb_populate_record(v_result, v_request.answer);
  end if;

  v_account := v_request.account;
  v_amount := credits_private.refund_amount(p_account_id, p_transaction_id, p_amount);
  perform credits_private.check_balance(v_account, v_amount);
  v_transaction_id := v_account.last_entry_id + 1;
  v_account := credits_private.write_refund(
    v_account, p_transaction_id, v_amount, p_idempotency_key, p_metadata, v_request.at);

  v_result := (v_transaction_id, v_amount, v_account.balance,
    credits_private.available(p_account_id, null, v_request.at), false,
    credits_private.repaid(p_account_id, v_transaction_id))::credits.refund_credits_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint,
    v_transaction_id, v_result.available, to_jsonb(v_result));
  return v_result;
end
$$;
