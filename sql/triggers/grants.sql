-- What remains of a grant, whether it is open, and what was taken back of it change only with an
-- entry, later than the last; what is held of it changes only with a part of a hold.
create or replace trigger _100_counters_change_only_with_the_ledger
  after update of remaining, is_open, taken, last_entry_id on credits_private.grants
  for each row
  when (new.last_entry_id <= old.last_entry_id)
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'grants');

create or replace trigger _101_counters_change_only_with_the_ledger
  after update of held, last_part_id on credits_private.grants
  for each row
  when (new.last_part_id <= old.last_part_id or new.held = old.held)
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'grants');

-- What is asked back is the sum of the revocations, a scheduled grant begins with its entry or is
-- cancelled, and a grant keeps the terms that it was given with.
create or replace trigger _102_counters_change_only_with_the_ledger
  after update of revoked, is_scheduled, cancelled_at, account_id, grant_id, amount,
    effective_at, expires_at, created_at, origin_grant_id, paid_amount, paid_currency, priority,
    source, operations
  on credits_private.grants
  for each row
  execute function
    credits_private.refuse_unless_granted('counters_change_only_with_the_ledger', 'grants');

create or replace trigger _110_counters_start_at_zero
  after insert on credits_private.grants
  for each row
  execute function
    credits_private.refuse_unless_empty('counters_change_only_with_the_ledger', 'grants');

create or replace trigger _120_a_grant_is_never_deleted
  before delete on credits_private.grants
  for each row
  execute function credits_private.refuse_change('every_change_has_an_entry', 'grants');

create or replace trigger _130_grants_are_never_truncated
  before truncate on credits_private.grants
  for each statement
  execute function credits_private.refuse_change('every_change_has_an_entry', 'grants');
