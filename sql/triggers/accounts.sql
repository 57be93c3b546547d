-- A balance changes only with the next entry, what is held only with the next part of a hold, or
-- each with all that one statement wrote; the ids of the last entry and part never change alone.
-- There are several guards, because every statement that changes a guard's columns prepares it
-- anew.
create or replace trigger _100_counters_change_only_with_the_ledger
  after update of balance, debt, last_entry_id, last_effective_at on credits_private.accounts
  for each row
  when (new.last_entry_id <> old.last_entry_id + 1 or new.balance = old.balance)
  execute function
    credits_private.refuse_unless_written('counters_change_only_with_the_ledger', 'accounts');

create or replace trigger _101_counters_change_only_with_the_ledger
  after update of held, overdraft_held, last_part_id on credits_private.accounts
  for each row
  when (new.last_part_id <> old.last_part_id + 1 or new.held = old.held)
  execute function
    credits_private.refuse_unless_ended('counters_change_only_with_the_ledger', 'accounts');

-- Flags, id counters and the period agree with the rows that they describe, a closed account stays
-- closed, and the first grant or limit fixes unit and scale.
create or replace trigger _102_counters_change_only_with_the_ledger
  after update of has_limits, has_keys, last_grant_id, last_hold_id, closed_at, account_id,
    opened_at, unit, scale, time_zone, anchor_day, period, next_period, period_ends_at, due_at
  on credits_private.accounts
  for each row
  execute function
    credits_private.refuse_unless_true('counters_change_only_with_the_ledger', 'accounts');

-- The head's figures change with the head, or with a part of a hold on it.
create or replace trigger _103_counters_change_only_with_the_ledger
  after update of head_grant_id, head_balance, plain_above, available_above, scoped_operations
  on credits_private.accounts
  for each row
  when (new.last_part_id = old.last_part_id)
  execute function
    credits_private.refuse_unless_in_front('counters_change_only_with_the_ledger', 'accounts');

create or replace trigger _110_counters_start_at_zero
  after insert on credits_private.accounts
  for each row
  execute function
    credits_private.refuse_unless_empty('counters_change_only_with_the_ledger', 'accounts');

create or replace trigger _120_an_account_is_never_deleted
  before delete on credits_private.accounts
  for each row
  execute function credits_private.refuse_change('every_change_has_an_entry', 'accounts');

create or replace trigger _130_accounts_are_never_truncated
  before truncate on credits_private.accounts
  for each statement
  execute function credits_private.refuse_change('every_change_has_an_entry', 'accounts');

create or replace trigger _100_metadata_is_never_truncated
  before truncate on credits_private.account_metadata
  for each statement
  execute function credits_private.refuse_change('every_change_has_an_entry', 'account_metadata');
