create or replace function credits_private.set_overdraft_limit_at(
  p_account_id text, p_overdraft_limit bigint, p_at timestamptz
) returns credits.account_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_ceiling(p_account_id, 'p_overdraft_limit', p_overdraft_limit);
  v_account := credits_private.enter(p_account_id, p_at);
  perform credits_private.check_is_open(v_account);
  update credits_private.accounts as a
  set overdraft_limit = p_overdraft_limit
  where a.account_id = p_account_id;
  return credits_private.account_answer(p_account_id, v_account.last_created_at);
end
$$;

revoke all on function
  credits_private.set_overdraft_limit_at(text, bigint, timestamptz) from public;

create or replace function credits.set_overdraft_limit(
  p_account_id text,
  p_overdraft_limit bigint
) returns credits.account_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.set_overdraft_limit_at(
    p_account_id collate "default", p_overdraft_limit, null);
end
$$;

revoke all on function credits.set_overdraft_limit(text, bigint) from public;

comment on function credits.set_overdraft_limit(text, bigint) is $comment$
Says how far into debt deductions, holds and captures may take an account: 0 to 2^53 - 1, in its
smallest unit.

Debt is what no grant covers. The next credit that comes free, of a grant, a refund or a hold,
repays it first. A limit below what is owed already takes nothing back: nothing more can be spent
on it until the debt is below it.

Returns the account, its balance, and what a deduction without operation may take. Setting it twice
is setting it once. Raises `PT404` if there is no such account; `PT423` if it is closed; `22023` for
a malformed argument.
$comment$;
