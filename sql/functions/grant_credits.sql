create or replace function credits_private.grant_credits_at(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_source text, p_priority int,
  p_expires_at timestamptz, p_effective_at timestamptz, p_operations text[], p_paid_amount bigint,
  p_paid_currency text, p_metadata jsonb, p_at timestamptz
) returns credits.grant_credits_result
language plpgsql
set search_path = ''
as $$
declare
  v_operations text[] := credits_private.distinct_operations(p_account_id, p_operations);
  v_account credits_private.accounts;
  v_answer credits_private.answer;
  v_fingerprint bytea;
  v_at timestamptz;
  v_available bigint;
begin
  perform credits_private.check_grant(p_account_id, p_amount, p_idempotency_key, p_source,
    p_priority, p_expires_at, p_effective_at, p_paid_amount, p_paid_currency, p_metadata);
  v_fingerprint := credits_private.fingerprint('grant_credits', jsonb_build_object(
    'amount', p_amount, 'source', nullif(p_source, 'purchase'),
    'priority', nullif(p_priority, 100), 'operations', v_operations,
    'expires_at', credits_private.microseconds(p_expires_at),
    'effective_at', credits_private.microseconds(p_effective_at),
    'paid_amount', p_paid_amount, 'paid_currency', p_paid_currency));

  perform credits_private.insert_account(p_account_id, 'credit', 0, 'UTC', 1, '{}',
    coalesce(p_at, clock_timestamp()));
  v_account := credits_private.lock_account(p_account_id);

  v_answer := credits_private.find_answer(p_account_id, p_idempotency_key, v_fingerprint);
  if v_answer.transaction_id is not null then
    return (v_answer.grant_id, v_answer.transaction_id, v_answer.amount, v_answer.balance,
      v_answer.available, true)::credits.grant_credits_result;
  end if;

  v_at := greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at);
  perform credits_private.check_grant_times(p_account_id, p_expires_at, p_effective_at, v_at);
  if v_account.due_at <= v_at then
    v_account := credits_private.settle(v_account, v_at);
  end if;
  perform credits_private.check_balance(v_account, p_amount);

  v_account := credits_private.insert_grant(v_account, p_amount, p_source, p_priority,
    v_operations, coalesce(p_effective_at, v_at), p_expires_at, null, p_paid_amount,
    p_paid_currency, p_metadata, v_at);
  insert into credits_private.entries (
    account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount, balance_after,
    period, effective_at, created_at, idempotency_key, metadata
  ) values (
    p_account_id, v_account.last_entry_id + 1, v_account.last_entry_id + 1, 1, 'grant',
    v_account.last_grant_id, p_amount, v_account.balance + p_amount,
    v_account.period, v_at, v_at, p_idempotency_key, nullif(p_metadata, '{}')
  );

  v_available := credits_private.available(p_account_id, null, v_at);
  perform credits_private.keep_answer(p_account_id, p_idempotency_key, v_fingerprint,
    v_account.last_entry_id + 1, v_available);
  return (v_account.last_grant_id, v_account.last_entry_id + 1, p_amount,
    v_account.balance + p_amount, v_available, false)::credits.grant_credits_result;
end
$$;

revoke all on function credits_private.grant_credits_at(
  text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb, timestamptz
) from public;

create or replace function credits.grant_credits(
  p_account_id text,
  p_amount bigint,
  p_idempotency_key text,
  p_source text = 'purchase',
  p_priority int = 100,
  p_expires_at timestamptz = null,
  p_effective_at timestamptz = null,
  p_operations text[] = null,
  p_paid_amount bigint = null,
  p_paid_currency text = null,
  p_metadata jsonb = '{}'
) returns credits.grant_credits_result
language plpgsql security definer
set search_path = ''
as $$
begin
  return credits_private.grant_credits_at(p_account_id, p_amount, p_idempotency_key, p_source,
    p_priority, p_expires_at, p_effective_at, p_operations, p_paid_amount, p_paid_currency,
    p_metadata, null);
end
$$;

revoke all on function credits.grant_credits(
  text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb
) from public;

comment on function credits.grant_credits(
  text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb
) is $comment$
Gives credits to an account, and opens it, with the defaults of `open_account`, if it does not
exist.

`p_amount` is in the account's smallest unit, 1 to 2^53 - 1. `p_source` says where the credits
come from: 'purchase' (paid, used after free ones) or a word of your own. A lower `p_priority` is
used first. `p_expires_at` is the first moment at which what is left can no longer be spent; null
is never. `p_effective_at`, not in the future, dates the grant for the order in which grants are
used. `p_operations` is a scope: only deductions for one of them may use the grant.
`p_paid_amount` and `p_paid_currency` go together and are for your records. A payment's id makes a
good key: a webhook that is delivered twice grants once.

Returns the grant, its transaction, the amount, the balance, what a deduction without operation
may take, and whether this is a replay.

A repeat with the same key and arguments (metadata aside) returns the first answer with `replayed
= true` and changes nothing.

Raises `PT409` if the key was used with other arguments or by another function; `22023` for a
malformed argument, an expiry that is not in the future, or a balance beyond 2^53 - 1. Whatever it
raises, nothing was changed.
$comment$;
