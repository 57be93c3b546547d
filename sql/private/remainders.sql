-- What remains of each grant, and its last entry. They are read from here alone: while a grant is
-- its account's head, what plain deductions have drawn is not on the grant's row, but in the
-- balance (ARCHITECTURE.md). Only what writes a grant knows its stored figures. All other columns
-- are the grant's own.
create or replace view credits_private.remainders as
select
  g.account_id,
  g.grant_id,
  g.amount,
  case
    when a.account_id is null then g.remaining
    else g.remaining - (a.head_balance - a.balance)
  end as remaining,
  case
    when a.head_balance > a.balance then a.last_entry_id
    else g.last_entry_id
  end as last_entry_id,
  g.held,
  g.expires_at,
  g.effective_at,
  g.origin_grant_id,
  g.priority,
  g.is_open,
  g.is_scheduled,
  g.source,
  g.operations
from credits_private.grants as g
left join credits_private.accounts as a
  on a.account_id = g.account_id and a.head_grant_id = g.grant_id;
