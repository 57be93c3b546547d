-- No function takes or returns the row of a table any more. This file calls nothing of sql/ and is
-- never edited once it has been released.
--
-- Why it looks like this:
--
-- * A table's row type in a signature ties tables, functions and triggers into a circle of
--   dependencies, and no table in such a circle can be distributed. On a worker, a row of a table
--   is a row of its shard, which has another type. So functions pass values of our own types.
-- * Each of these types has its table's columns, in their order: `select a.* into v_account` and
--   `insert into … values (p_entry.*)` keep working. A test compares the two: a migration that
--   adds a column must add the attribute.
-- * A function with another signature is another function, so the old ones are dropped. Only
--   limit_scope_id has to wait: views call it until sql/ replaces them (sql/views/discrepancies.sql). No
--   view is dropped, because an app may have views of its own on ours.
-- * Each promise has a check of its own, credits_private.check_<promise>, and credits.discrepancies
--   is their union. Five views held the checks of several promises. They are renamed, because
--   credits.discrepancies reads them until sql/ replaces it.

drop function if exists credits_private.account_is_closed(credits_private.accounts);
drop function if exists credits_private.advance_account(credits_private.accounts, timestamptz);
drop function if exists credits_private.apply_limits(credits_private.entries);
drop function if exists credits_private.apply_statement(credits_private.entries);
drop function if exists credits_private.ask_back(text, bigint, bigint, text, timestamptz);
drop function if exists credits_private.begin_grant(
  credits_private.accounts, bigint, timestamptz, timestamptz);
drop function if exists credits_private.book_grant(
  credits_private.accounts, bigint, text, jsonb, timestamptz);
drop function if exists credits_private.check_balance(credits_private.accounts, bigint);
drop function if exists credits_private.check_excess(
  credits_private.accounts, credits_private.holds, bigint, timestamptz);
drop function if exists credits_private.check_is_open(credits_private.accounts);
drop function if exists credits_private.check_limits(
  credits_private.accounts, bigint, text, text, text, timestamptz, bigint);
drop function if exists credits_private.check_overdraft(credits_private.entries);
drop function if exists credits_private.count_days(credits_private.accounts);
drop function if exists credits_private.count_limit(
  credits_private.accounts, credits_private.limits);
drop function if exists credits_private.deduction_key(text, text);
drop function if exists credits_private.delete_limit(text, text);
drop function if exists credits_private.enter(text, timestamptz);
drop function if exists credits_private.entries_between(text, bigint, bigint);
drop function if exists credits_private.expire_grant(
  credits_private.accounts, bigint, timestamptz, timestamptz);
drop function if exists credits_private.forget_ids(credits_private.accounts);
drop function if exists credits_private.forget_in_limits(credits_private.accounts, jsonb, jsonb);
drop function if exists credits_private.insert_grant(
  credits_private.accounts, bigint, text, int, text[], timestamptz, timestamptz, bigint, bigint,
  text, jsonb, timestamptz);
drop function if exists credits_private.insert_hold(
  credits_private.accounts, bigint, timestamptz, text, text, text, jsonb, timestamptz);
drop function if exists credits_private.insert_limit(
  credits_private.accounts, credits_private.limits, timestamptz);
drop function if exists credits_private.is_entry(credits_private.entries);
drop function if exists credits_private.is_unused(credits_private.accounts);
drop function if exists credits_private.keep_odd_period(credits_private.accounts);
drop function if exists credits_private.limit_answer(credits_private.limits);
drop function if exists credits_private.limit_reserved(credits_private.limits, text, bigint);
drop function if exists credits_private.lock_account(text);
drop function if exists credits_private.moment(credits_private.accounts, timestamptz);
drop function if exists credits_private.next_window_at(
  credits_private.accounts, text, timestamptz);
drop function if exists credits_private.open_hold(text, bigint);
drop function if exists credits_private.overdraft(credits_private.accounts);
drop function if exists credits_private.refund_parts(credits_private.accounts, bigint, bigint);
drop function if exists credits_private.refund_target(
  credits_private.accounts, bigint, bigint, timestamptz);
drop function if exists credits_private.refuse_entry(credits_private.entries);
drop function if exists credits_private.refuse_limit(
  credits_private.limits, text, bigint, bigint, bigint, bigint, timestamptz);
drop function if exists credits_private.refuse_part(credits_private.hold_parts, text);
drop function if exists credits_private.repay(credits_private.accounts, timestamptz, timestamptz);
drop function if exists credits_private.resolve_hold(
  credits_private.accounts, bigint, text, timestamptz, timestamptz);
drop function if exists credits_private.revocation_parts(credits_private.grants, text);
drop function if exists credits_private.settle(credits_private.accounts, timestamptz);
drop function if exists credits_private.take_back(
  credits_private.accounts, bigint, bigint[], bigint[], timestamptz, timestamptz, text, jsonb);
drop function if exists credits_private.tidy(
  credits_private.accounts, bigint[], bigint[], timestamptz, timestamptz);
drop function if exists credits_private.write_capture(
  credits_private.accounts, credits_private.holds, bigint, text, boolean, jsonb, timestamptz);
drop function if exists credits_private.write_entries(
  credits_private.accounts, credits_private.entries, bigint[], bigint[], int, bigint[], bigint[]);
drop function if exists credits_private.write_parts(
  credits_private.accounts, bigint, bigint[], bigint[], int, timestamptz, timestamptz);
drop function if exists credits_private.write_refund(
  credits_private.accounts, bigint, bigint, text, jsonb, timestamptz);

create type credits_private.account as (
  account_id text,
  balance bigint,
  last_entry_id bigint,
  last_grant_id bigint,
  last_effective_at timestamptz,
  last_created_at timestamptz,
  due_at timestamptz,
  period_ends_at timestamptz,
  opened_at timestamptz,
  period date,
  next_period date,
  scale int,
  anchor_day int,
  unit text,
  time_zone text,
  metadata jsonb,
  overdraft_limit bigint,
  debt bigint,
  held bigint,
  overdraft_held bigint,
  last_hold_id bigint,
  last_part_id bigint,
  closed_at timestamptz,
  has_limits boolean,
  has_keys boolean
);

create type credits_private.entry as (
  entry_id bigint,
  transaction_id bigint,
  grant_id bigint,
  amount bigint,
  balance_after bigint,
  effective_at timestamptz,
  created_at timestamptz,
  period date,
  entry_count int,
  refunded_transaction_id bigint,
  refunded_entry_id bigint,
  account_id text,
  kind text,
  api_key_id text,
  operation text,
  run_id text,
  idempotency_key text,
  metadata jsonb,
  hold_id bigint,
  is_final boolean,
  revoked_grant_id bigint,
  repaid_entry_id bigint,
  available bigint,
  statement_entries bigint,
  is_first boolean
);

create type credits_private.hold as (
  account_id text,
  hold_id bigint,
  amount bigint,
  held bigint,
  last_part_id bigint,
  expires_at timestamptz,
  created_at timestamptz,
  resolved_at timestamptz,
  state text,
  api_key_id text,
  operation text,
  run_id text,
  metadata jsonb
);

create type credits_private.spending_limit as (
  account_id text,
  limit_id text,
  ceiling bigint,
  overage bigint,
  set_entry_id bigint,
  scope text,
  scope_id text,
  limit_window text,
  counts_from date,
  pseudonyms jsonb
);

-- One of its attributes was a table's row.
drop function if exists credits_private.enter_deduction(
  text, bigint, text, text, text, text, timestamptz);
drop type credits_private.entered;
create type credits_private.entered as (
  account credits_private.account,
  is_known boolean,
  refusal credits_private.refusal,
  exceeded_limits text[]
);

-- What a call with a key begins with: the answer that its first call got or, for a new call, the
-- account and the moment.
create type credits_private.request as (
  account credits_private.account,
  at timestamptz,
  fingerprint bytea,
  answer jsonb
);

drop function if exists credits_private.find_answer(text, text, text, jsonb, bytea);
drop function if exists credits_private.keep_answer(text, text, bytea, bigint, bigint, jsonb);

-- These functions have new names, which say whether they raise.
drop function if exists credits_private.check_deduction(
  text, bigint, text, text, text, text, jsonb, boolean);
drop function if exists credits_private.check_refund(text, bigint, bigint);
drop function if exists credits_private.no_such_account(text);
drop function if exists credits_private.refuse_argument(text, text, text, text);
drop function if exists credits_private.refuse_by_hand(text, text, text);
drop function if exists credits_private.refuse_deduction(credits_private.refusal, boolean);
drop function if exists credits_private.refuse_item(jsonb);
drop function if exists credits_private.refuse_key(
  text, text, credits_private.answer, text, jsonb);
drop function if exists credits_private.refuse_shortage(text, bigint, bigint, text, bigint);
drop function if exists credits_private.refuse_usage(text);

-- It had the end of the period as an argument. Now the view credits_private.due has it.
drop function if exists credits_private.first_due(text, timestamptz, timestamptz);

alter view if exists credits_private.account_faults rename to check_every_change_has_an_entry;
alter view if exists credits_private.entry_faults rename to check_entries_are_immutable;
alter view if exists credits_private.grant_faults rename to check_grants_equal_ledger;
alter view if exists credits_private.hold_faults rename to check_held_equals_open_holds;
alter view if exists credits_private.key_faults rename to check_a_key_has_one_answer;
