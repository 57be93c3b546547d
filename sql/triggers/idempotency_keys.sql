-- A key is kept unchanged, as long as the ledger.
create or replace trigger _100_a_request_takes_effect_once
  before update or delete on credits_private.idempotency_keys
  for each row
  execute function
    credits_private.refuse_change('a_request_takes_effect_once', 'idempotency_keys');

create or replace trigger _110_keys_are_never_truncated
  before truncate on credits_private.idempotency_keys
  for each statement
  execute function
    credits_private.refuse_change('a_request_takes_effect_once', 'idempotency_keys');
