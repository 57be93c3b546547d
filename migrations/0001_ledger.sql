-- The state: tables, constraints, indexes and result types. Behaviour (functions, triggers, views,
-- comments, privileges) lives in sql/. This file calls nothing of sql/ and is never edited once it
-- has been released.
--
-- Why it looks like this:
--
-- * account_id leads every key and is never updated, and ids are counted on the account's row under
--   its lock. So an account's rows can live together on one shard, and two accounts never contend.
-- * The ledger is not partitioned by month. A unique key of a partitioned table has to contain the
--   partition key, which would take the uniqueness of entry_id out of the database's hands, and a
--   look-up by transaction would probe every partition, in a ledger that is kept for ever.
-- * A row that holds a figure names the last entry that the figure includes (last_entry_id). A
--   figure that moves without it was moved by hand, and a guard in sql/triggers/ refuses that.
-- * No index contains a figure, so that changing one is a HOT update: no index is written. That is
--   why grants have is_open: it changes once in a grant's life, where `remaining` always changes.
-- * In the two tables that grow with every call, columns of fixed width come first: text in between
--   would be padded.
-- * Few CHECK constraints. Postgres parses each of a table's anew for every statement that writes
--   to it, 2 to 3 us a piece; with one for each column a deduction cost half as much again. Those
--   that hold an invariant stay; what an entry must be is checked where it is applied
--   (sql/triggers/entries.sql), and arguments where they come in (sql/private/check_arguments.sql).

create table credits_private.accounts (
  account_id text not null,
  balance bigint not null default 0,
  last_entry_id bigint not null default 0,
  last_grant_id bigint not null default 0,
  last_effective_at timestamptz not null default '-infinity',
  last_created_at timestamptz not null,
  due_at timestamptz not null,
  period_ends_at timestamptz not null,
  opened_at timestamptz not null,
  period date not null,
  next_period date not null,
  scale int not null,
  anchor_day int not null,
  unit text not null,
  time_zone text not null,
  metadata jsonb not null default '{}',
  constraint an_account_has_one_row primary key (account_id),
  constraint available_is_never_negative check (balance >= 0)
)
-- Balances change all the time: room on the page keeps their updates HOT.
with (fillfactor = 70);

-- For settle_due: who is due, longest first.
create index accounts_due_at on credits_private.accounts (due_at);

create table credits_private.grants (
  account_id text not null,
  grant_id bigint not null,
  amount bigint not null,
  remaining bigint not null default 0,
  last_entry_id bigint not null default 0,
  effective_at timestamptz not null,
  expires_at timestamptz,
  created_at timestamptz not null,
  origin_grant_id bigint,
  paid_amount bigint,
  priority int not null,
  is_open boolean not null default false,
  source text not null,
  operations text[],
  paid_currency text,
  metadata jsonb not null default '{}',
  constraint a_grant_has_one_row primary key (account_id, grant_id),
  constraint a_grant_belongs_to_an_account foreign key (account_id)
    references credits_private.accounts (account_id),
  constraint a_re_grant_has_an_origin foreign key (account_id, origin_grant_id)
    references credits_private.grants (account_id, grant_id),
  constraint a_grant_is_never_overdrawn check (remaining between 0 and amount)
)
with (fillfactor = 80);

-- What an account can draw on. Spent and expired grants are not in it, however many there are.
create index grants_open on credits_private.grants (account_id, grant_id) where is_open;

-- The ledger. What only the first entry of a transaction carries (the key, the metadata) is not
-- repeated in the others. The key stands here too, beside its table, so that a page of transactions
-- shows it without another index to maintain for each deduction.
create table credits_private.entries (
  entry_id bigint not null,
  transaction_id bigint not null,
  grant_id bigint not null,
  amount bigint not null,
  balance_after bigint not null,
  effective_at timestamptz not null,
  created_at timestamptz not null,
  period date not null,
  entry_count int not null,
  refunded_transaction_id bigint,
  refunded_entry_id bigint,
  account_id text not null,
  kind text not null,
  api_key_id text,
  operation text,
  run_id text,
  idempotency_key text,
  metadata jsonb,
  constraint entries_have_one_row_each primary key (account_id, entry_id),
  constraint an_entry_belongs_to_a_grant foreign key (account_id, grant_id)
    references credits_private.grants (account_id, grant_id)
);

-- What has been refunded of an entry. Only refunds are in it: a deduction does not pay for it.
create index entries_refunds on credits_private.entries (account_id, refunded_entry_id)
  where refunded_entry_id is not null;

-- Every key ever used, by any function, with the transaction that its first call made and what was
-- available after it: the rest of the answer stands in the ledger. The fingerprint is a digest: it
-- still recognises a replay after a person was forgotten, and holds nothing of them.
create table credits_private.idempotency_keys (
  transaction_id bigint not null,
  available bigint not null,
  account_id text not null,
  idempotency_key text not null,
  fingerprint bytea not null,
  constraint a_request_takes_effect_once primary key (account_id, idempotency_key)
);

-- '' stands for "no API key" and "no operation": a primary key knows no null, an id is never ''.
create table credits_private.usage_counters (
  account_id text not null,
  period date not null,
  api_key_id text not null,
  operation text not null,
  credits_used bigint not null default 0,
  credits_refunded bigint not null default 0,
  calls bigint not null default 0,
  last_entry_id bigint not null default 0,
  constraint usage_has_one_row_per_key_and_operation
    primary key (account_id, period, api_key_id, operation)
)
with (fillfactor = 70);

-- The answer to a call, as its key finds it again.
create type credits_private.answer as (
  transaction_id bigint,
  grant_id bigint,
  amount bigint,
  balance bigint,
  available bigint
);

-- Which grants a deduction draws on, in order, and how much of each.
create type credits_private.draw as (
  grant_ids bigint[],
  amounts bigint[],
  drawable bigint,
  available_after bigint
);

create type credits.account_result as (
  account_id text,
  balance bigint,
  available bigint
);

create type credits.grant_credits_result as (
  grant_id bigint,
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean
);

create type credits.deduct_credits_result as (
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean
);

create type credits.refund_credits_result as (
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean
);
