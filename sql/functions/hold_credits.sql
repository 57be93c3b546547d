create or replace function credits_private.hold_credits_at(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_expires_in interval,
  p_api_key_id text, p_operation text, p_run_id text, p_metadata jsonb, p_at timestamptz
) returns credits.hold_credits_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_arguments jsonb;
  v_request credits_private.request;
  v_account credits_private.account;
  v_expires_at timestamptz;
  v_check credits_private.limit_check;
  v_draw credits_private.draw;
  v_result credits.hold_credits_result;
begin
  perform credits_private.check_spending(p_account_id, p_amount, p_idempotency_key, p_api_key_id,
    p_operation, p_run_id, p_metadata);
  perform credits_private.hold_expires_at(p_account_id, '2000-01-01Z', p_expires_in);
  v_arguments := jsonb_build_object('amount', p_amount,
    'expires_in', credits_private.interval_parts(nullif(p_expires_in, interval '1 hour')),
    'api_key_id', p_api_key_id, 'operation', p_operation, 'run_id', p_run_id);

  v_request := credits_private.begin_request(
    p_account_id, p_idempotency_key, 'hold_credits', v_arguments, p_at, true,
    case when extract(day from p_expires_in) <> 0 then credits_private.fingerprint('hold_credits',
      v_arguments || jsonb_build_object(
        'expires_in', credits_private.interval_parts(p_expires_in, true))) end);
  if v_request.answer is not null then
    return jsonb_populate_record(v_result, v_request.answer);
  end if;
  v_account := v_request.account;
  v_expires_at := credits_private.hold_expires_at(p_account_id, v_request.at, p_expires_in);

  v_check := credits_private.check_limits(
    v_account, p_amount, p_api_key_id, p_operation, p_run_id, v_request.at);
  perform credits_private.raise_refusal(v_check.refusal);
  if v_account.held + p_amount > 9007199254740991 then
    perform credits_private.refuse_argument(p_account_id, 'p_amount',
      'what is held must not exceed 9007199254740991',
      'Beyond 2^53 - 1 a number is not exact in JSON and JavaScript.');
  end if;
  v_draw := credits_private.draw(
    p_account_id, p_amount, p_operation, v_request.at, credits_private.overdraft(v_account));
  if v_draw.drawable < p_amount then
    perform credits_private.raise_refusal(credits_private.refuse_shortage(
      p_account_id, p_amount, v_draw.drawable, p_operation));
  end if;

  v_account := credits_private.insert_hold(v_account, p_amount, v_expires_at, p_api_key_id,
    p_operation, p_run_id, p_metadata, v_request.at);
  -- The parts' trigger changes what is held with them.
  perform credits_private.write_parts(v_account, v_account.last_hold_id, v_draw.grant_ids,
    v_draw.amounts, 1, v_request.at, v_request.at);

  v_result := (v_account.last_hold_id, p_amount, v_account.balance, v_draw.available_after, false,
    v_expires_at, v_check.exceeded_limits)::credits.hold_credits_result;
  -- The moment in UTC: as the session's time zone would show it, it could be unreadable, for ever.
  perform credits_private.end_request(p_account_id, p_idempotency_key, v_request.fingerprint, null,
    v_draw.available_after,
    to_jsonb(v_result) || jsonb_build_object('expires_in', v_arguments -> 'expires_in',
      'expires_at', to_jsonb(v_expires_at at time zone 'UTC') #>> '{}' || 'Z'));
  return v_result;
end
$$;

revoke all on function credits_private.hold_credits_at(
  text, bigint, text, interval, text, text, text, jsonb, timestamptz) from public;

create or replace function credits.hold_credits(
  p_account_id text,
  p_amount bigint,
  p_idempotency_key text,
  p_expires_in interval = '1 hour',
  p_api_key_id text = null,
  p_operation text = null,
  p_run_id text = null,
  p_metadata jsonb = '{}'
) returns credits.hold_credits_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.hold_credits_at(
    p_account_id collate "default", p_amount, p_idempotency_key collate "default", p_expires_in,
    p_api_key_id collate "default", p_operation collate "default", p_run_id collate "default",
    p_metadata, null);
end
$$;

revoke all on function
  credits.hold_credits(text, bigint, text, interval, text, text, text, jsonb) from public;

comment on function
  credits.hold_credits(text, bigint, text, interval, text, text, text, jsonb)
is $comment$
Sets credits aside before the cost is known: hold, commit, work, capture what it cost.

`p_amount`, in the account's smallest unit, 1 to 2^53 - 1, is reserved from the very grants that a
deduction with these arguments would draw on, and from the overdraft after them. What is held can
be spent by this hold alone, and does not expire with its grant. The balance stays as it is;
`available` falls. Limits count what is held as if it were spent.

After `p_expires_in`, more than nothing and at most ten years (a day is 24 hours), the hold ends by
itself, at the instant, and what is left of it returns to its grants. `p_api_key_id`,
`p_operation`, `p_run_id` become those of the captures.

Returns the hold, the amount, the balance, what a deduction without operation may take now, whether
this is a replay, when the hold expires, and the soft limits whose ceiling it would leave behind.

A repeat with the same key and arguments (metadata aside) returns the first answer with `replayed =
true` and changes nothing, whatever became of the hold.

Raises `PT402` if less is available; `PT429` if a limit would be passed, with `retry_at`; `PT404` if
there is no such account; `PT409` if the key was used with other arguments (`differs` in the detail;
'1 day' and '24 hours' are one) or by another function; `PT423` if the account is closed; `22023`
for a malformed argument, or more than 2^53 - 1 held in all. Whatever it raises, nothing was changed.
$comment$;
