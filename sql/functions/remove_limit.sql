create or replace function credits.remove_limit(
  p_account_id text,
  p_limit_id text
) returns credits.limit_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.remove_limit_at(
    p_account_id collate "default", p_limit_id collate "default", null);
end
$$;

comment on function credits.remove_limit(text, text) is $comment$
Removes a limit, with what it has counted. If it is set again, it counts from the ledger.

Returns the limit as it was, or nulls if there was none. A repeat changes nothing. Raises `PT404` if
there is no such account; `PT423` if the account is closed; `22023` for a malformed argument.
$comment$;
