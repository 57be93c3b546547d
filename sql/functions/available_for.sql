create or replace function credits.available_for(p_account_id text, p_operation text = null)
returns bigint
language plpgsql stable security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  return credits_private.available_for_at(
    p_account_id collate "default", p_operation collate "default", null);
end
$$;

comment on function credits.available_for(text, text) is $comment$
Returns how much a deduction for `p_operation` may take from the account now, in its smallest unit:
the free credits of unexpired grants that have no scope or whose scope includes the operation, and
the rest of the overdraft. Null means a deduction that names no operation: this is `available` in
`credits.remaining`. Limits are left out, because they depend on the API key, operation and run.

A deduction of exactly this amount succeeds, unless another call comes in between or a limit stops
it. A closed account has nothing available. Reads only. Raises `PT404` if there is no such account.
$comment$;
