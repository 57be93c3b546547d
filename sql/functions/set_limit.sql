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
    p_at => null);
end
$$;

comment on function credits.set_limit(text, text, bigint, text, text, text, bigint) is $comment$
Limits what an account may spend, or changes a limit: `p_limit_id` is a name of your own.

`p_ceiling` is in the account's smallest unit, 0 to 2^53 - 1; 0 stops everything. `p_scope` is what
the limit counts: the whole 'account', or spending by 'api_key', 'operation' or 'run'. `p_scope_id`
names the one to count. Without it, the limit counts each of them for itself, and calls that name
none as one more. `p_window` is the billing 'period', the 'hour', 'day' or 'week' (from Monday) in
the account's time zone, or 'total', which never starts anew. A limit with `p_overage` is soft:
calls may pass the ceiling, up to ceiling + overage, and say so in `exceeded_limits`. A call must
pass every limit that it falls under. An account can have 100 limits.

A limit counts what deductions and captures took in the window, less what was refunded of them, and
what open holds have reserved. A limit that is set in mid-window starts from what the ledger already
shows; if that is over the limit, the next call is stopped. Limits are checked under the account's
lock, before the balance. What an open hold has reserved can always be captured.

Returns the limit. A repeat changes nothing. Raises `PT404` if there is no such account; `PT423` if
the account is closed; `22023` for a malformed argument.
$comment$;
