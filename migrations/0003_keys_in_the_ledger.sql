-- A deduction keeps its idempotency key in the ledger alone: a row and two statements fewer for the
-- call that an app makes most. This file calls nothing of sql/ and is never edited once it has been
-- released.
--
-- Why it looks like this:
--
-- * What a repeat of a deduction is answered with stands in its entries already, but for what was
--   available after it, and that is null where it is the balance. idempotency_keys is for calls
--   whose answer or arguments the ledger does not tell.
-- * The keys of calls that wrote no entry are not in the ledger. has_keys says that an account has
--   such calls, as has_limits says that it has limits: where it has not, nothing is looked up.
-- * An entry's grant is not looked up by a foreign key: the entries' trigger updates that very row,
--   or refuses, and a grant is never deleted. The foreign key cost a deduction 6 % of its time.
-- * What an account can draw on is indexed in burn-down order: no sort.

-- Its arguments change; sql/ brings it back.
drop function if exists credits_private.replay_deduction(text, text, bytea, boolean);

alter table credits_private.idempotency_keys
  rename constraint a_request_takes_effect_once to a_key_has_one_answer;

alter table credits_private.entries
  add column available bigint,
  drop constraint an_entry_belongs_to_a_grant,
  add constraint a_request_takes_effect_once unique (account_id, idempotency_key);

alter table credits_private.accounts
  add column has_keys boolean not null default false;

update credits_private.accounts as a
set has_keys = true
where exists (
  select from credits_private.idempotency_keys as k
  where k.account_id = a.account_id and k.transaction_id is null);

drop index credits_private.grants_live;
create index grants_in_burn_down_order on credits_private.grants (
  account_id, priority, (operations is null), expires_at, (source = 'purchase'), effective_at,
  grant_id
)
where is_open or is_scheduled;

-- What a deduction finds where more than its grants has to be looked at.
create type credits_private.entered as (
  account credits_private.accounts,
  is_known boolean,
  refusal credits_private.refusal,
  exceeded_limits text[]
);
