-- What a limit counts is fixed when it is set, after everything that is in the ledger by then.
-- Setting it again changes its ceiling; with another scope or window it is another limit (see
-- insert_limit).
create or replace trigger _100_limits_equal_ledger
  before update of account_id, limit_id, scope, scope_id, limit_window, counts_from
  on credits_private.limits
  for each row
  execute function credits_private.refuse_change('limits_equal_ledger', 'limits');

create or replace trigger _110_limits_are_set_now
  after insert or update of ceiling, overage, set_entry_id, pseudonyms on credits_private.limits
  for each row
  execute function credits_private.refuse_unless_set_now('limits_equal_ledger', 'limits');

create or replace trigger _120_limits_are_never_truncated
  before truncate on credits_private.limits
  for each statement
  execute function credits_private.refuse_change('limits_equal_ledger', 'limits');
