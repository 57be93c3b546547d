-- What remains of a grant, and what was taken back of it, moves with an entry, a later one than
-- before, what is held of it with a part of a hold, or not at all.
create or replace trigger _100_counters_change_only_with_the_ledger
  after update of remaining, taken, last_entry_id, is_open on credits_private.grants
  for each row
  when (new.last_entry_id <= old.last_entry_id or new.is_open <> (new.remaining > 0))
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'grants');

create or replace trigger _101_counters_change_only_with_the_ledger
  after update of held, last_part_id on credits_private.grants
  for each row
  when (new.last_part_id <= old.last_part_id)
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'grants');

-- What is asked back of it is what revocations add up to.
create or replace trigger _102_counters_change_only_with_the_ledger
  after update of revoked on credits_private.grants
  for each row
  execute function
    credits_private.refuse_unless_asked('counters_change_only_with_the_ledger', 'grants');

-- A scheduled grant begins with its entry, or is cancelled: once, whole or with its account.
create or replace trigger _103_every_change_has_an_entry
  after update of is_scheduled, cancelled_at on credits_private.grants
  for each row
  when ((old.is_scheduled and not new.is_scheduled
      and (new.last_entry_id > 0) = (new.cancelled_at is null)) is not true)
  execute function credits_private.refuse_change('every_change_has_an_entry', 'grants');

-- The terms of a grant are those that it was given with.
create or replace trigger _104_a_grant_keeps_its_terms
  before update of account_id, grant_id, amount, effective_at, expires_at, created_at,
    origin_grant_id, paid_amount, paid_currency, priority, source, operations
  on credits_private.grants
  for each row
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'grants');

create or replace trigger _110_counters_start_at_zero
  after insert on credits_private.grants
  for each row
  when (new.remaining <> 0 or new.held <> 0 or new.taken <> 0 or new.revoked <> 0
    or new.last_entry_id <> 0 or new.last_part_id <> 0 or new.is_open
    or new.cancelled_at is not null)
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'grants');

create or replace trigger _120_a_grant_is_never_deleted
  before delete on credits_private.grants
  for each row
  execute function credits_private.refuse_change('every_change_has_an_entry', 'grants');

create or replace trigger _130_grants_are_never_truncated
  before truncate on credits_private.grants
  for each statement
  execute function credits_private.refuse_change('every_change_has_an_entry', 'grants');
