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
What a deduction for `p_operation` may take from the account now, in its smallest unit: what is free
of its unexpired grants, those without scope and those whose scope includes the operation, and what
is left of the overdraft. Null is a deduction that names no operation: `available` in
`credits.remaining`. Limits are not counted in: they depend on the API key, operation and run.

A deduction of exactly this much succeeds, if nobody else's comes in between and no limit stops it.
Of a closed account, nothing is available. Reads only. Raises `PT404` if there is no such account.
$comment$;
