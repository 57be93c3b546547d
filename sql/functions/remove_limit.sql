create or replace function credits_private.remove_limit_at(
  p_account_id text, p_limit_id text, p_at timestamptz
) returns credits.limit_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
  v_limit credits_private.spending_limit;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_id(p_account_id, 'p_limit_id', p_limit_id);
  v_account := credits_private.enter(p_account_id, p_at);
  perform credits_private.check_is_open(v_account);

  v_limit := credits_private.delete_limit(p_account_id, p_limit_id);
  update credits_private.accounts as a
  set has_limits = exists (
    select from credits_private.limits as l where l.account_id = p_account_id)
  where a.account_id = p_account_id;
  return credits_private.limit_answer(v_limit);
end
$$;

revoke all on function credits_private.remove_limit_at(text, text, timestamptz) from public;

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

revoke all on function credits.remove_limit(text, text) from public;

comment on function credits.remove_limit(text, text) is $comment$
Removes a limit, with what it has counted: set again, it counts from the ledger.

Returns the limit as it was, or nulls if there was none: removing it twice is removing it once.
Raises `PT404` if there is no such account; `PT423` if it is closed; `22023` for a malformed
argument.
$comment$;
