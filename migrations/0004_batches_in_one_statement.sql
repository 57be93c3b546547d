-- The deductions that a batch makes from one account are one insert, and change each figure once.
-- This file calls nothing of sql/ and is never edited once it has been released.

-- One key at a time, by deduction_key of sql/.
drop function if exists credits_private.deduction_keys(text, text);

-- The entries that a statement wrote together, counted on the first of them, 0 on the others: the
-- first one's trigger applies them all. Null, which costs no byte, where each is applied by itself.
alter table credits_private.entries
  add column statement_entries bigint;

-- An account has a thousand entries, whatever a sample says. Right after an adoption each has one, and
-- then every index that begins with the account seems as good as the one that is meant: a page of
-- transactions of an account that has grown since would read all of it for each of its rows.
alter table credits_private.entries
  alter column account_id set (n_distinct = -0.001);

-- A deduction of a batch as it was booked.
create type credits_private.booked_item as (
  deduction int,
  idempotency_key text,
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint
);
