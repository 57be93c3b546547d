create or replace function credits_private.settle_account_at(p_account_id text, p_at timestamptz)
returns credits.account_result
language plpgsql
set search_path = ''
as $$
declare
  v_account credits_private.accounts;
  v_at timestamptz;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  v_account := credits_private.lock_account(p_account_id);
  v_at := greatest(coalesce(p_at, clock_timestamp()), v_account.last_created_at);
  if v_account.due_at <= v_at then
    v_account := credits_private.settle(v_account, v_at);
  end if;
  return (p_account_id, v_account.balance,
    credits_private.available(p_account_id, null, v_at))::credits.account_result;
end
$$;

revoke all on function credits_private.settle_account_at(text, timestamptz) from public;

create or replace function credits.settle_account(p_account_id text)
returns credits.account_result
language plpgsql security definer
set search_path = ''
as $$
begin
  return credits_private.settle_account_at(p_account_id, null);
end
$$;

revoke all on function credits.settle_account(text) from public;

comment on function credits.settle_account(text) is $comment$
Books what is due for one account: credits that have expired, and the end of its billing period.

Every call that moves credits does this for its account by itself, and views are right without it:
it is for tidy books, so that a closed period is closed, and what expired shows as expired. Late
or on time, it writes the same entries, effective at the moment when they were due.

Returns the account, its balance, and what a deduction without operation may take. A repeat finds
nothing left to do. Raises `PT404` if there is no such account.
$comment$;
