-- What a hold holds changes only with a part, and each part is later than the last.
create or replace trigger _100_counters_change_only_with_the_ledger
  after update of held, last_part_id on credits_private.holds
  for each row
  when (new.last_part_id <= old.last_part_id or new.held = old.held)
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'holds');

create or replace trigger _101_a_hold_keeps_its_terms
  before update of account_id, hold_id, amount, created_at, operation on credits_private.holds
  for each row
  execute function credits_private.refuse_change('counters_change_only_with_the_ledger', 'holds');

create or replace trigger _110_counters_start_at_zero
  after insert on credits_private.holds
  for each row
  execute function
    credits_private.refuse_unless_unheld('counters_change_only_with_the_ledger', 'holds');

-- A hold ends once, whatever runs at the same time, and its end stays. An open hold has no end yet.
create or replace trigger _120_a_hold_is_resolved_once
  after update of state, resolved_at, expires_at on credits_private.holds
  for each row
  when (old.state <> 'open' or (new.state = 'open') <> (new.resolved_at is null))
  execute function credits_private.refuse_change('a_hold_is_resolved_once', 'holds');

-- A hold can only be made longer.
create or replace trigger _125_a_hold_is_never_shortened
  after update of expires_at on credits_private.holds
  for each row
  when (new.expires_at <= old.expires_at or new.expires_at = 'infinity')
  execute function credits_private.refuse_change('a_hold_is_resolved_once', 'holds');

create or replace trigger _130_a_hold_is_never_deleted
  before delete on credits_private.holds
  for each row
  execute function credits_private.refuse_change('held_equals_open_holds', 'holds');

create or replace trigger _140_holds_are_never_truncated
  before truncate on credits_private.holds
  for each statement
  execute function credits_private.refuse_change('held_equals_open_holds', 'holds');

create or replace trigger _150_holds_are_forgotten_or_left
  before update of api_key_id, run_id, metadata on credits_private.holds
  for each row
  execute function credits_private.refuse_unless_forgotten('held_equals_open_holds', 'holds');
