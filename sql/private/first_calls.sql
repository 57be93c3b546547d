-- requires: private/requests.sql
--
-- Reconstructs a key's first call from the rows that it left, for the refusal of another call with
-- the same key: a digest shows that two calls differ, but not in what.

-- The function that used a key, and its arguments, named as in its fingerprint, as far as the rows
-- show them. Forgotten ids are left out.
create or replace function credits_private.first_call(
  p_account_id text, p_transaction_id bigint, p_answer jsonb,
  out function_name text, out arguments jsonb
)
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_entry record;
begin
  select e.kind, e.api_key_id, e.operation, e.run_id, e.refunded_transaction_id, e.hold_id,
    e.is_final, abs(l.balance_after - e.balance_after + e.amount) as amount
  into v_entry
  from credits_private.entries as e
  join credits_private.entries as l
    on l.account_id = e.account_id and l.entry_id = e.entry_id + e.entry_count - 1
  where e.account_id = p_account_id and e.entry_id = p_transaction_id;

  function_name := case
    when v_entry.kind = 'deduction' then 'deduct_credits'
    when v_entry.kind = 'refund' then 'refund_credits'
    when v_entry.kind = 'capture' or p_answer ? 'held' then 'capture_hold'
    when p_answer ? 'outstanding' then 'revoke_grant'
    when p_answer ? 'grant_id' then 'grant_credits'
    when p_answer ? 'hold_id' and p_answer ? 'expires_at' then 'hold_credits'
    when p_answer ? 'hold_id' then 'release_hold'
    else 'deduct_credits'
  end;
  arguments := case function_name
    when 'deduct_credits' then case when v_entry.kind is null then '{"amount": 0}' else
      jsonb_build_object('amount', v_entry.amount, 'api_key_id', v_entry.api_key_id,
        'operation', v_entry.operation, 'run_id', v_entry.run_id) end
    when 'refund_credits' then jsonb_build_object(
      'transaction_id', v_entry.refunded_transaction_id, 'amount', v_entry.amount)
    when 'capture_hold' then jsonb_build_object('hold_id', p_answer -> 'hold_id',
      'amount', p_answer -> 'amount', 'final', nullif(coalesce(v_entry.is_final, true), true))
    when 'revoke_grant' then jsonb_build_object('grant_id', p_answer -> 'grant_id')
      || case when p_answer ? 'requested' then jsonb_build_object(
        'amount', p_answer -> 'requested', 'on_spent', nullif(p_answer ->> 'on_spent', 'clamp'))
      else '{}' end
    when 'release_hold' then jsonb_build_object('hold_id', p_answer -> 'hold_id')
    when 'grant_credits' then credits_private.arguments_of_grant(
      p_account_id, (p_answer ->> 'grant_id')::bigint)
    when 'hold_credits' then credits_private.arguments_of_hold(
      p_account_id, (p_answer ->> 'hold_id')::bigint, (p_answer ->> 'expires_at')::timestamptz)
  end;
end
$$;

create or replace function credits_private.arguments_of_grant(p_account_id text, p_grant_id bigint)
returns jsonb
language sql stable
set search_path = pg_temp
as $$
  select jsonb_build_object('amount', g.amount, 'source', nullif(g.source, 'purchase'),
    'priority', nullif(g.priority, 100), 'operations', g.operations,
    'expires_at', credits_private.microseconds(g.expires_at),
    'expires_in', credits_private.interval_parts(g.expires_at - g.effective_at),
    'effective_at', case when g.effective_at <> g.created_at
      then credits_private.microseconds(g.effective_at) end,
    'paid_amount', g.paid_amount, 'paid_currency', g.paid_currency)
  from credits_private.grants as g
  where g.account_id = p_account_id and g.grant_id = p_grant_id
$$;

create or replace function credits_private.arguments_of_hold(
  p_account_id text, p_hold_id bigint, p_expires_at timestamptz
) returns jsonb
language sql stable
set search_path = pg_temp
as $$
  select jsonb_build_object('amount', h.amount, 'api_key_id', h.api_key_id,
    'operation', h.operation, 'run_id', h.run_id,
    'expires_in', credits_private.interval_parts(
      nullif(p_expires_at - h.created_at, interval '1 hour')))
  from credits_private.holds as h
  where h.account_id = p_account_id and h.hold_id = p_hold_id
$$;

-- The names of the arguments that differ, in order; null if none can be named. An expiry has two
-- forms, and the one that the second call used is compared. Two arguments are named only if nothing
-- else differs: an interval with months, which have no fixed length, and an amount that was left
-- out, which stands for all.
create or replace function credits_private.differing_arguments(p_first jsonb, p_second jsonb)
returns text[]
language sql immutable
set search_path = pg_temp
as $$
  with differing as (
    select n.name,
      n.name = 'expires_in' and coalesce((p_second -> n.name ->> 0)::numeric <> 0, false)
        or n.name = 'amount' and p_second ->> n.name is null as is_unsure
    from jsonb_object_keys(p_first) as n (name)
    where p_first ->> n.name is distinct from p_second ->> n.name
      and coalesce(p_first ->> n.name, '') not like 'forgotten %'
      and not (n.name = 'expires_at' and p_second ->> 'expires_in' is not null)
      and not (n.name = 'expires_in' and p_first ? 'expires_at'
        and p_second ->> 'expires_in' is null)
  )
  select coalesce(array_agg(d.name order by d.name) filter (where not d.is_unsure),
    array_agg(d.name order by d.name))
  from differing as d
$$;
