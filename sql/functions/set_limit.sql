create or replace function credits_private.set_limit_at(
  p_account_id text, p_limit_id text, p_ceiling bigint, p_scope text, p_scope_id text,
  p_window text, p_overage bigint, p_at timestamptz
) returns credits.limit_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
  v_old credits_private.spending_limit;
  v_limit credits_private.spending_limit;
begin
  perform credits_private.check_limit(
    p_account_id, p_limit_id, p_ceiling, p_scope, p_scope_id, p_window, p_overage);
  v_account := credits_private.enter(p_account_id, p_at);
  perform credits_private.check_is_open(v_account);

  select l.* into v_old
  from credits_private.limits as l
  where l.account_id = p_account_id and l.limit_id = p_limit_id;
  if not found and 100 <= (
    select count(*) from credits_private.limits as l where l.account_id = p_account_id)
  then
    perform credits_private.refuse_argument(p_account_id, 'p_limit_id',
      'an account has at most 100 limits',
      'Leave p_scope_id out: one limit then counts each API key, operation or run for itself.');
  elsif (v_old.ceiling, v_old.overage, v_old.scope, v_old.scope_id, v_old.limit_window)
    is not distinct from (p_ceiling, p_overage, p_scope, p_scope_id, p_window)
  then
    return credits_private.limit_answer(v_old);
  end if;

  if (v_old.scope, v_old.scope_id, v_old.limit_window)
    is distinct from (p_scope, p_scope_id, p_window)
  then
    v_limit.limit_id := p_limit_id;
    v_limit.ceiling := p_ceiling;
    v_limit.overage := p_overage;
    v_limit.scope := p_scope;
    v_limit.scope_id := p_scope_id;
    v_limit.limit_window := p_window;
    v_limit := credits_private.insert_limit(v_account, v_limit, v_account.last_created_at);
  else
    update credits_private.limits as l
    set ceiling = p_ceiling, overage = p_overage, set_entry_id = v_account.last_entry_id
    where l.account_id = p_account_id and l.limit_id = p_limit_id
    returning l.* into v_limit;
  end if;
  -- No call comes before the moment whose windows are counted, also if the clock is set back.
  update credits_private.accounts as a
  set has_limits = true, last_created_at = v_account.last_created_at
  where a.account_id = p_account_id;
  return credits_private.limit_answer(v_limit);
end
$$;

revoke all on function credits_private.set_limit_at(
  text, text, bigint, text, text, text, bigint, timestamptz) from public;

create or replace function credits_private.limit_answer(p_limit credits_private.spending_limit)
returns credits.limit_result
language sql immutable
set search_path = pg_temp
as $$
  select (p_limit.limit_id, p_limit.scope, p_limit.scope_id, p_limit.limit_window,
    p_limit.ceiling, p_limit.overage)::credits.limit_result
$$;

revoke all on function credits_private.limit_answer(credits_private.spending_limit) from public;

create or replace function credits.set_limit(
  p_account_id text,
  p_limit_id text,
  p_ceiling bigint,
  p_scope text = 'account',
  p_scope_id text = null,
  p_window text = 'period',
  p_overage bigint = 0
) returns credits.limit_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.set_limit_at(
    p_account_id collate "default", p_limit_id collate "default", p_ceiling,
    p_scope collate "default", p_scope_id collate "default", p_window collate "default", p_overage,
    null);
end
$$;

revoke all on function
  credits.set_limit(text, text, bigint, text, text, text, bigint) from public;

comment on function credits.set_limit(text, text, bigint, text, text, text, bigint) is $comment$
Limits what an account may spend, or changes a limit: `p_limit_id` is a name of your own.

`p_ceiling` is in the account's smallest unit, 0 to 2^53 - 1; 0 stops all. `p_scope` is what it
counts: the whole 'account', or spending by 'api_key', 'operation' or 'run'. `p_scope_id` names the
one that it counts; left out, it counts each of them for itself, and calls that name none as one
more. `p_window` is the billing
'period', the 'day' in the account's time zone, or 'total', which never starts anew. A limit with
`p_overage` is soft: calls may cross the ceiling, and say so in `exceeded_limits`, up to ceiling +
overage. A call must pass all limits that it falls under; an account can have 100.

Spent is what deductions and captures took in the window, less what was refunded of them; what open
holds have reserved counts too. A limit that is set in mid-window starts from what the ledger
already shows; one that is passed already stops what comes next. Limits are checked under the
account's lock, before the balance. What an open hold has reserved can always be captured.

Returns the limit. Setting it twice is setting it once. Raises `PT404` if there is no such account;
`PT423` if it is closed; `22023` for a malformed argument.
$comment$;
