create or replace function credits_private.close_account_at(
  p_account_id text, p_at timestamptz
) returns credits.account_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  v_account := credits_private.enter(p_account_id, p_at);

  update credits_private.accounts as a
  set closed_at = v_account.last_created_at, last_created_at = v_account.last_created_at
  where a.account_id = p_account_id and a.closed_at is null;
  -- What was due until now has been booked. The rest never will be.
  update credits_private.grants as g
  set is_scheduled = false, cancelled_at = v_account.last_created_at
  where g.account_id = p_account_id and g.is_scheduled;
  return credits_private.account_answer(p_account_id, v_account.last_created_at);
end
$$;

revoke all on function credits_private.close_account_at(text, timestamptz) from public;

create or replace function credits.close_account(
  p_account_id text
) returns credits.account_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.close_account_at(p_account_id collate "default", null);
end
$$;

revoke all on function credits.close_account(text) from public;

comment on function credits.close_account(text) is $comment$
Closes an account, for good. What was begun can be ended: open holds can be captured and released,
deductions refunded, grants revoked; credits and holds expire as before; repeats of earlier calls
get their answers; every view shows it. Scheduled grants are cancelled, and everything else raises
`PT423`. An account is never deleted: to erase the person, call `forget_account`.

Returns the account, its balance, and what is available, which is nothing. Closing it twice is
closing it once. Raises `PT404` if there is no such account; `22023` for a malformed argument.
$comment$;
