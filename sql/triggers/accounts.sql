-- A balance moves with an entry, the next one (or with all that one statement wrote); what is held
-- moves with a part of a hold, the next one. Neither moves otherwise, and their ids never alone. Two
-- guards, as each is prepared anew by every statement that changes its columns.
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
    credits_private.refuse_change('counters_change_only_with_the_ledger', 'accounts');

-- Flags, id counters and the period say what is there, a closed account stays closed, and unit and
-- scale are fixed by the first grant or limit.
create or replace trigger _102_counters_change_only_with_the_ledger
  after update of has_limits, has_keys, last_grant_id, last_hold_id, closed_at, account_id, opened_at,
    unit, scale, time_zone, anchor_day, period, next_period, period_ends_at, due_at
  on credits_private.accounts
  for each row
  execute function
    credits_private.refuse_unless_true('counters_change_only_with_the_ledger', 'accounts');

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
