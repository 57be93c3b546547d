-- requires: private/remainders.sql
--
-- The head of an account: the grant in front, while plain deductions draw on it alone
-- (ARCHITECTURE.md).

-- Puts the head down, if one is up: what was drawn from it is written to its grant. Whatever writes
-- an entry that is not plain calls it first, because the entries' trigger refuses such an entry
-- while a head is up. A head has drawn nothing but the account's last entries, so the last entry is
-- its last one. One statement, so that guards see both rows changed.
create or replace function credits_private.put_down_head(p_account credits_private.account)
returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_account.head_grant_id is null then
    return p_account;
  end if;
  with drawn as (
    update credits_private.grants as g
    set
      remaining = g.remaining - (p_account.head_balance - p_account.balance),
      last_entry_id = p_account.last_entry_id
    where g.account_id = p_account.account_id and g.grant_id = p_account.head_grant_id
      and p_account.head_balance > p_account.balance
  )
  update credits_private.accounts as a
  set head_grant_id = null, head_balance = null, plain_above = 9007199254740992,
    available_above = 0, scoped_operations = null
  where a.account_id = p_account.account_id;
  p_account.head_grant_id := null;
  p_account.head_balance := null;
  p_account.plain_above := 9007199254740992;
  p_account.available_above := 0;
  p_account.scoped_operations := null;
  return p_account;
end
$$;
