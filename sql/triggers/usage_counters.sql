-- A counter changes only with an entry, and each entry is later than the last.
create or replace trigger _100_counters_change_only_with_the_ledger
  after update of account_id, period, operation, credits_used, credits_refunded, calls,
    last_entry_id
  on credits_private.usage_counters
  for each row
  when (new.last_entry_id <= old.last_entry_id)
  execute function
    credits_private.refuse_change('counters_change_only_with_the_ledger', 'usage_counters');

create or replace trigger _110_counters_start_at_zero
  after insert on credits_private.usage_counters
  for each row
  execute function
    credits_private.refuse_unless_empty('counters_change_only_with_the_ledger', 'usage_counters');

create or replace trigger _120_a_counter_is_never_deleted
  before delete on credits_private.usage_counters
  for each row
  execute function
    credits_private.refuse_change('counters_change_only_with_the_ledger', 'usage_counters');

create or replace trigger _130_counters_are_never_truncated
  before truncate on credits_private.usage_counters
  for each statement
  execute function
    credits_private.refuse_change('counters_change_only_with_the_ledger', 'usage_counters');

create or replace trigger _140_counters_are_forgotten_or_left
  before update of api_key_id on credits_private.usage_counters
  for each row
  execute function
    credits_private.refuse_unless_forgotten(
      'counters_change_only_with_the_ledger', 'usage_counters');
