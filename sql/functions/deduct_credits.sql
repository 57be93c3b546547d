create or replace function credits_private.deduct_credits_at(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text, p_operation text,
  p_run_id text, p_metadata jsonb, p_at timestamptz
) returns credits.deduct_credits_result
language plpgsql
set search_path = ''
as $$
declare
  v_account credits_private.accounts;
  v_answer credits_private.answer;
  v_fingerprint bytea;
  v_at timestamptz;
  v_draw credits_private.draw;
begin
  perform credits_private.check_spending(p_account_id, p_amount, p_idempotency_key, p_api_key_id,
    p_operation, p_run_id, p_metadata);
  v_fingerprint := credits_private.fingerprint('deduct_credits', jsonb_build_object(
    'amount', p_amount, 'api_key_id', p_api_key_id, 'operation', p_operation, 'run_id', p_run_id));

  v_account := credits_private.lock_account(p_account_id);

  v_answer := credits_private.find_answer(p_account_id, p_idempotency_key, v_fingerprint);
  if v_answer.transaction_id is not null then
    return (v_answer.transaction_id, v_answer.amount, v_answer.balance, v_answer.available,
      true)::credits.deduct_credits_result;
  end if;

  v_at := greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at);
  if v_account.due_at <= v_at then
    v_account := credits_private.settle(v_account, v_at);
  end if;

  v_draw := credits_private.draw(p_account_id, p_amount, p_operation);
  if v_draw.drawable < p_amount then
    perform credits_private.raise_error('PT402', 'insufficient credits',
      jsonb_build_object('account_id', p_account_id, 'requested', p_amount,
        'available', v_draw.drawable, 'operation', p_operation),
      'Grant credits, or ask for no more than is available.', 'available_is_never_negative');
  end if;

  -- The entries' trigger changes the balance, the grants and the usage with them.
  insert into credits_private.entries (
    account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount, balance_after,
    period, effective_at, created_at, api_key_id, operation, run_id, idempotency_key, metadata
  )
  select
    p_account_id, v_account.last_entry_id + d.n, v_account.last_entry_id + 1,
    cardinality(v_draw.grant_ids), 'deduction', d.grant_id, -d.amount,
    v_account.balance - sum(d.amount) over (order by d.n),
    v_account.period, v_at, v_at, p_api_key_id, p_operation, p_run_id,
    case when d.n = 1 then p_idempotency_key end,
    case when d.n = 1 then nullif(p_metadata, '{}') end
  from unnest(v_draw.grant_ids, v_draw.amounts) with ordinality as d (grant_id, amount, n)
  order by d.n;

  perform credits_private.keep_answer(p_account_id, p_idempotency_key, v_fingerprint,
    v_account.last_entry_id + 1, v_draw.available_after);
  return (v_account.last_entry_id + 1, p_amount, v_account.balance - p_amount,
    v_draw.available_after, false)::credits.deduct_credits_result;
end
$$;

revoke all on function credits_private.deduct_credits_at(
  text, bigint, text, text, text, text, jsonb, timestamptz) from public;

create or replace function credits.deduct_credits(
  p_account_id text,
  p_amount bigint,
  p_idempotency_key text,
  p_api_key_id text = null,
  p_operation text = null,
  p_run_id text = null,
  p_metadata jsonb = '{}'
) returns credits.deduct_credits_result
language plpgsql security definer
set search_path = ''
as $$
begin
  return credits_private.deduct_credits_at(p_account_id, p_amount, p_idempotency_key,
    p_api_key_id, p_operation, p_run_id, p_metadata, null);
end
$$;

revoke all on function
  credits.deduct_credits(text, bigint, text, text, text, text, jsonb) from public;

comment on function credits.deduct_credits(text, bigint, text, text, text, text, jsonb) is $comment$
Takes credits from an account, now, or fails whole.

`p_amount` is in the account's smallest unit, 1 to 2^53 - 1. It is drawn from the account's grants
in burn-down order: lower priority first, then scoped before unscoped, earlier expiry (never is
last), free before paid, older. A grant with a scope is used only if `p_operation` is in it; an
expired one, never. `p_api_key_id`, `p_operation` and `p_run_id` say what the credits went on;
usage and invoice lines are per API key and operation, and null is a group like any other.

Returns the transaction, the amount, the balance after it, what a deduction without operation may
take after it, and whether this is a replay.

A repeat with the same key and arguments (metadata aside) returns the first answer with `replayed
= true` and changes nothing, also when the balance would no longer allow it.

Raises `PT402` if less is available, with `requested` and `available` in the detail; `PT404` if
there is no such account; `PT409` if the key was used with other arguments or by another function;
`22023` for a malformed argument. Whatever it raises, nothing was changed.
$comment$;
