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

comment on function credits.set_overdraft_limit(text, bigint) is $comment$
Sets how far into debt deductions, holds and captures may take an account: 0 to 2^53 - 1, in its
smallest unit.

Debt is what no grant covers. The next credit that comes free, by a grant, a refund or a hold,
repays it first. A limit below the present debt takes nothing back, but no more can be drawn from
the overdraft until the debt is below the limit.

Returns the account, its balance, and what a deduction without an operation may take. A repeat
changes nothing. Raises `PT404` if there is no such account; `PT423` if the account is closed;
`22023` for a malformed argument.
$comment$;
