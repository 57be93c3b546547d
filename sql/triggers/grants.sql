-- What remains of a grant, and what was taken back of it, moves with an entry, a later one than
-- before, what is held of it with a part of a hold, or not at all.
create or replace trigger _100_counters_change_only_with_the_ledger
  after update of remaining, amount, taken, last_entry_id on credits_private.grants
  for each row
  when (new.last_entry_id <= old.last_entry_id)
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'grants');

create or replace trigger _101_counters_change_only_with_the_ledger
  after update of held, last_part_id on credits_private.grants
  for each row
  when (new.last_part_id <= old.last_part_id)
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'grants');

create or replace trigger _110_counters_start_at_zero
  after insert on credits_private.grants
  for each row
  when (new.remaining <> 0 or new.held <> 0 or new.taken <> 0)
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'grants');

create or replace trigger _120_a_grant_is_never_deleted
  before delete on credits_private.grants
  for each row
  execute function credits_private.refuse_change('every_change_has_an_entry', 'grants');

create or replace trigger _130_grants_are_never_truncated
  before truncate on credits_private.grants
  for each statement
  execute function credits_private.refuse_change('every_change_has_an_entry', 'grants');
