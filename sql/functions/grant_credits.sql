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
    p_expires_in, p_at => null);
end
$$;

comment on function credits.grant_credits(
  text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb, interval
) is $comment$
Grants credits to an account. If there is no such account, the grant opens it, with the defaults of
`open_account`.

`p_amount` is in the account's smallest unit, 1 to 2^53 - 1. `p_source` says where the credits come
from: 'purchase' (paid, used after free ones) or a word of your own. Grants with a lower
`p_priority` are used first. `p_expires_at` is the first moment at which the credits can no longer
be spent; null is never. `p_expires_in` is the same as an interval from the moment at which the
grant takes effect (a day is 24 hours). Pass it instead of `now() + …` where the call may come
twice, as a webhook's does. `p_effective_at` in the past dates the grant for the burn-down order; in
the future, it schedules the grant: the credits are there from that moment on, and in no figure
before. `p_operations` is a scope: only deductions for one of these operations may use the grant.
`p_paid_amount` and `p_paid_currency` go together and are for your records.

A payment's id makes a good key: a webhook that is delivered twice grants once, and a repeat says
which grant it was, for `revoke_grant`.

Returns the grant, its transaction (null while it is scheduled), the amount, the balance, what a
deduction without an operation may take, whether this is a replay, how much of it repaid debt at
once, and when it expires.

A repeat with the same key and arguments (metadata aside) returns the first answer with
`replayed = true` and changes nothing.

Raises `PT409` if the key was used with other arguments (`differs` in the detail) or by another
function; `PT429` if 10,000 grants of the account have credits or are scheduled; `PT423` if the
account is closed; `22023` for a malformed argument, for both forms of an expiry at once, for an
expiry that is not in the future, and for grants, scheduled ones included, of more than 2^53 - 1 in
all. An error changes nothing.
$comment$;
