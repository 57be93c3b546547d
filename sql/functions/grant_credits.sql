create or replace function credits_private.grant_credits_at(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_source text, p_priority int,
  p_expires_at timestamptz, p_effective_at timestamptz, p_operations text[], p_paid_amount bigint,
  p_paid_currency text, p_metadata jsonb, p_expires_in interval, p_at timestamptz
) returns credits.grant_credits_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_operations text[] := credits_private.distinct_operations(p_account_id, p_operations);
  v_arguments jsonb;
  v_request credits_private.request;
  v_account credits_private.account;
  v_at timestamptz;
  v_expires_at timestamptz;
  v_transaction_id bigint;
  v_result credits.grant_credits_result;
begin
  perform credits_private.check_grant(p_account_id, p_amount, p_idempotency_key, p_source,
    p_priority, p_expires_at, p_effective_at, p_paid_amount, p_paid_currency, p_metadata,
    p_expires_in);
  v_arguments := jsonb_build_object(
    'amount', p_amount, 'source', nullif(p_source, 'purchase'),
    'priority', nullif(p_priority, 100), 'operations', v_operations,
    'expires_at', credits_private.microseconds(p_expires_at),
    'expires_in', credits_private.interval_parts(p_expires_in),
    'effective_at', credits_private.microseconds(p_effective_at),
    'paid_amount', p_paid_amount, 'paid_currency', p_paid_currency);

  perform credits_private.insert_account(p_account_id, 'credit', 0, 'UTC', 1, '{}',
    coalesce(p_at, clock_timestamp()));
  v_request := credits_private.begin_request(
    p_account_id, p_idempotency_key, 'grant_credits', v_arguments, p_at, true);
  if v_request.answer is not null then
    return credits_private.replay_grant(p_account_id, v_request.answer);
  end if;

  v_account := v_request.account;
  v_at := v_request.at;
  v_expires_at := coalesce(p_expires_at, credits_private.grant_expires_at(
    p_account_id, coalesce(p_effective_at, v_at), p_expires_in));
  perform credits_private.check_grant_times(p_account_id, v_expires_at, p_effective_at, v_at);
  perform credits_private.check_balance(v_account, p_amount);

  v_account := credits_private.insert_grant(v_account, p_amount, p_source, p_priority,
    v_operations, coalesce(p_effective_at, v_at), v_expires_at, null, p_paid_amount,
    p_paid_currency, p_metadata, v_at);
  if coalesce(p_effective_at, v_at) <= v_at then
    v_transaction_id := v_account.last_entry_id + 1;
    v_account := credits_private.book_grant(
      v_account, p_amount, p_idempotency_key, p_metadata, v_at);
  end if;

  v_result := (v_account.last_grant_id, v_transaction_id, p_amount, v_account.balance,
    credits_private.available(p_account_id, null, v_at), false,
    coalesce(credits_private.repaid(p_account_id, v_transaction_id), 0), v_expires_at
    )::credits.grant_credits_result;
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint,
    v_transaction_id, v_result.available, to_jsonb(v_result) - 'expires_at'
      || jsonb_build_object('expires_in', v_arguments -> 'expires_in'));
  return v_result;
end
$$;

revoke all on function credits_private.grant_credits_at(
  text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb, interval,
  timestamptz
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
  p_metadata jsonb = '{}',
  p_expires_in interval = null
) returns credits.grant_credits_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.grant_credits_at(
    p_account_id collate "default", p_amount, p_idempotency_key collate "default",
    p_source collate "default", p_priority, p_expires_at, p_effective_at,
    p_operations collate "default", p_paid_amount, p_paid_currency collate "default", p_metadata,
    p_expires_in, null);
end
$$;

revoke all on function credits.grant_credits(
  text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb, interval
) from public;

comment on function credits.grant_credits(
  text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb, interval
) is $comment$
Gives credits to an account, and opens it, with the defaults of `open_account`, if it does not
exist.

`p_amount` is in the account's smallest unit, 1 to 2^53 - 1. `p_source` says where the credits
come from: 'purchase' (paid, used after free ones) or a word of your own. A lower `p_priority` is
used first. `p_expires_at` is the first moment at which what is left can no longer be spent; null
is never. `p_expires_in` says the same as an interval from the moment at which the grant takes
effect (a day is 24 hours): pass it, and not `now() + …`, where the call may come twice, as a
webhook's does. `p_effective_at` in the past dates the grant for the order in which grants are used; in
the future, it schedules it: the credits are there from that moment on, and in no figure before.
`p_operations` is a scope: only deductions for one of them may use the grant. `p_paid_amount` and
`p_paid_currency` go together and are for your records.

A payment's id makes a good key: a webhook that is delivered twice grants once, and calling again
with it tells which grant it was, to revoke it.

Returns the grant, its transaction (null as long as it is scheduled), the amount, the balance, what
a deduction without operation may take, whether this is a replay, how much of it repaid debt at
once, and when it expires.

A repeat with the same key and arguments (metadata aside) returns the first answer with `replayed
= true` and changes nothing.

Raises `PT409` if the key was used with other arguments (`differs` in the detail) or by another
function; `PT423` if the account is closed; `22023` for a malformed argument, both forms of an
expiry, one that is not in the future, or grants of more than 2^53 - 1 in all, with what is
scheduled. Whatever it raises, nothing was changed.
$comment$;
