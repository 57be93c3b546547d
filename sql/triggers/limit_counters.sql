-- A limit's counter changes only with an entry, and each entry is later than the last. A counter
-- that begins in mid-window changes once, with the last of the entries that it begins with.
create or replace trigger _100_counters_change_only_with_the_ledger
  after update of account_id, limit_id, window_start, spent, last_entry_id
  on credits_private.limit_counters
  for each row
  when (new.last_entry_id <= old.last_entry_id)
  execute function
    credits_private.refuse_change('counters_change_only_with_the_ledger', 'limit_counters');

-- What holds have reserved changes only with a part of a hold, likewise.
create or replace trigger _105_counters_change_only_with_the_ledger
  after update of reserved, last_part_id on credits_private.limit_counters
  for each row
  when (new.last_part_id <= old.last_part_id)
  execute function
    credits_private.refuse_change('counters_change_only_with_the_ledger', 'limit_counters');

create or replace trigger _110_counters_start_at_zero
  after insert on credits_private.limit_counters
  for each row
  execute function
    credits_private.refuse_unless_empty('counters_change_only_with_the_ledger', 'limit_counters');

create or replace trigger _115_a_counter_goes_with_its_limit
  after delete on credits_private.limit_counters
  for each row
  execute function
    credits_private.refuse_while_limited('counters_change_only_with_the_ledger', 'limit_counters');

create or replace trigger _120_counters_are_never_truncated
  before truncate on credits_private.limit_counters
  for each statement
  execute function
    credits_private.refuse_change('counters_change_only_with_the_ledger', 'limit_counters');

create or replace trigger _130_counters_are_forgotten_or_left
  before update of scope_id on credits_private.limit_counters
  for each row
  execute function
    credits_private.refuse_unless_forgotten(
      'counters_change_only_with_the_ledger', 'limit_counters');
