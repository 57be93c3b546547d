-- What an adoption remembers, until `pg-credits shadow remove --forget` drops it. Run as the owner of
-- the schema credits, in a schema of the same owner, under a lock: see state.ts.

create table credits_adoption.accounts (
  account_id text not null,
  book text not null,
  trust text not null,
  legacy_balance bigint,
  legacy_transactions bigint not null,
  transactions bigint not null,
  difference bigint not null,
  snapshot pg_catalog.pg_snapshot not null,
  adopted_at timestamptz not null default pg_catalog.clock_timestamp(),
  constraint an_account_is_adopted_once primary key (account_id),
  constraint a_book_is_an_opening_or_a_history check (book in ('opening', 'history')),
  constraint trust_is_in_transactions_or_a_balance check (trust in ('transactions', 'balance'))
);

comment on table credits_adoption.accounts is
  'The accounts that were adopted: written in the transaction that booked them.';
comment on column credits_adoption.accounts.book is 'opening or history: what was booked';
comment on column credits_adoption.accounts.trust is
  'transactions or balance: what is believed where they differ';
comment on column credits_adoption.accounts.legacy_balance is
  'The balance that the app showed; null if it had none.';
comment on column credits_adoption.accounts.legacy_transactions is
  'The sum of the app''s transactions.';
comment on column credits_adoption.accounts.transactions is 'How many they were.';
comment on column credits_adoption.accounts.difference is
  'What was booked as an entry of its own, to get from the figure that is not believed to the other.';
comment on column credits_adoption.accounts.snapshot is
  'Of the statement that read the app''s rows: it saw those that were committed in it.';

create table credits_adoption.begun (
  account_id text not null,
  book text not null,
  trust text not null,
  begun_at timestamptz not null default pg_catalog.clock_timestamp(),
  constraint an_import_is_begun_once primary key (account_id)
);

comment on table credits_adoption.begun is
  'The accounts whose history is imported in pieces: they have entries, and are not adopted yet.';

create table credits_adoption.failures (
  failure_id bigint not null generated always as identity,
  account_id text,
  transaction_id text,
  change jsonb,
  error text not null,
  sqlstate text not null,
  transaction_xid pg_catalog.xid8 not null default pg_catalog.pg_current_xact_id(),
  failed_at timestamptz not null default pg_catalog.clock_timestamp(),
  constraint a_failure_has_one_row primary key (failure_id)
);

comment on table credits_adoption.failures is
  'The writes to the app''s table that could not be mirrored, and why: `pg-credits shadow retry` books them.';
comment on column credits_adoption.failures.change is
  'The old and the new row, as the mapping reads them; null where there is none.';
comment on column credits_adoption.failures.transaction_xid is
  'The app''s transaction: whether adopt has read the write, its snapshot says.';

create table credits_adoption.mirrored (
  account_id text not null,
  writes bigint not null,
  last_at timestamptz not null,
  constraint mirrored_writes_are_counted_by_account primary key (account_id)
);

comment on table credits_adoption.mirrored is
  'How many writes to the app''s table were mirrored, and when the last one was.';

revoke all on schema credits_adoption from public;
revoke all on all tables in schema credits_adoption from public;
