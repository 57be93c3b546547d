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

comment on function credits.close_account(text) is $comment$
Closes an account for good. Whatever has begun can still be ended: open holds can be captured and
released, deductions can be refunded, and grants revoked. Credits and holds expire as before,
repeats of earlier calls get their answers, and every view still shows the account. Scheduled grants
are cancelled, and everything else raises `PT423`. An account is never deleted: to erase the person,
call `forget_account`.

Returns the account, its balance, and what is available, which is nothing. A repeat changes nothing.
Raises `PT404` if there is no such account; `22023` for a malformed argument.
$comment$;
