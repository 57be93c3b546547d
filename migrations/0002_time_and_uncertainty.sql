-- The state behind holds, limits, overdraft and debt, revocation, scheduled grants, closing and
-- forgetting. This file calls nothing of sql/ and is never edited once it has been released.
--
-- Why it looks like this:
--
-- * What is held has a ledger of its own, hold_parts, as what is owned has entries: signed, only
--   added to, numbered on the account's row. What an account, a grant and a hold show as held is
--   kept by its trigger, and can be told for any moment of the past.
-- * Debt is an entry without a grant. So the balance is still one sum over entries.
-- * New columns of entries are null for a deduction, and a null costs no byte there.
-- * A row says what of it is still to come: scheduled grants and open holds are in a partial index,
--   and leave it once.

-- Their arguments or results change; sql/ brings them back.
drop function if exists credits_private.draw(text, bigint, text);
drop function if exists credits_private.refuse_account(text);
drop function if exists credits_private.find_answer(text, text, bytea);
drop function if exists credits_private.keep_answer(text, text, bytea, bigint, bigint);
drop function if exists credits_private.check_refund(text, bigint, bigint);
drop function if exists
  credits_private.write_refund(credits_private.accounts, bigint, bigint, text, jsonb, timestamptz);
drop function if exists
  credits_private.refund_target(credits_private.accounts, bigint, bigint, timestamptz);

alter table credits_private.accounts
  add column overdraft_limit bigint not null default 0,
  add column debt bigint not null default 0,
  add column held bigint not null default 0,
  add column overdraft_held bigint not null default 0,
  add column last_hold_id bigint not null default 0,
  add column last_part_id bigint not null default 0,
  add column closed_at timestamptz,
  add column has_limits boolean not null default false,
  drop constraint available_is_never_negative,
  -- The grants hold balance + debt, and of it held - overdraft_held is reserved: what is free.
  add constraint available_is_never_negative
    check (balance + debt >= held - overdraft_held and debt >= 0);

alter table credits_private.grants
  add column held bigint not null default 0,
  -- What was asked back of it, and what was taken back so far.
  add column revoked bigint not null default 0,
  add column taken bigint not null default 0,
  add column last_part_id bigint not null default 0,
  add column cancelled_at timestamptz,
  add column is_scheduled boolean not null default false,
  drop constraint a_grant_is_never_overdrawn,
  add constraint a_grant_is_never_overdrawn
    check (remaining >= held and remaining <= amount and held >= 0);

-- What an account can draw on, and what is still to come.
drop index credits_private.grants_open;
create index grants_live on credits_private.grants (account_id, grant_id)
  where is_open or is_scheduled;

alter table credits_private.entries
  alter column grant_id drop not null,
  add column hold_id bigint,
  add column is_final boolean,
  add column revoked_grant_id bigint,
  add column repaid_entry_id bigint;

-- Whatever is looked for among the entries that are no deductions: the refunds of an entry, the
-- captures of a hold, expiries, repayments. One index: each more of them, however partial, costs a
-- deduction 2 to 3 us, as Postgres opens it and prepares its condition.
drop index credits_private.entries_refunds;
create index entries_other_than_deductions
  on credits_private.entries (account_id, kind, refunded_entry_id, hold_id)
  where kind <> 'deduction';

-- A call that writes no entry has a key and an answer all the same, and the answer of some calls
-- says more than their entries do.
alter table credits_private.idempotency_keys
  alter column transaction_id drop not null,
  add column answer jsonb;

create table credits_private.holds (
  account_id text not null,
  hold_id bigint not null,
  amount bigint not null,
  held bigint not null default 0,
  last_part_id bigint not null default 0,
  expires_at timestamptz not null,
  created_at timestamptz not null,
  resolved_at timestamptz,
  state text not null default 'open',
  api_key_id text,
  operation text,
  run_id text,
  metadata jsonb not null default '{}',
  constraint a_hold_has_one_row primary key (account_id, hold_id),
  constraint a_hold_belongs_to_an_account foreign key (account_id)
    references credits_private.accounts (account_id),
  constraint held_equals_open_holds check (held >= 0 and (held = 0 or state = 'open'))
)
with (fillfactor = 80);

create index holds_open on credits_private.holds (account_id, hold_id) where state = 'open';

create table credits_private.hold_parts (
  part_id bigint not null,
  hold_id bigint not null,
  -- Null is a part of the overdraft.
  grant_id bigint,
  amount bigint not null,
  effective_at timestamptz not null,
  created_at timestamptz not null,
  account_id text not null,
  constraint hold_parts_have_one_row_each primary key (account_id, part_id),
  constraint a_part_belongs_to_a_hold foreign key (account_id, hold_id)
    references credits_private.holds (account_id, hold_id),
  constraint a_part_belongs_to_a_grant foreign key (account_id, grant_id)
    references credits_private.grants (account_id, grant_id)
);

create index hold_parts_of_a_hold on credits_private.hold_parts (account_id, hold_id, part_id);

create table credits_private.limits (
  account_id text not null,
  limit_id text not null,
  ceiling bigint not null,
  overage bigint not null,
  -- The account's last entry when the limit was set: what was spent before is no fault of it.
  set_entry_id bigint not null,
  scope text not null,
  -- Null is each one of the scope for itself.
  scope_id text,
  limit_window text not null,
  constraint a_limit_has_one_row primary key (account_id, limit_id),
  constraint a_limit_belongs_to_an_account foreign key (account_id)
    references credits_private.accounts (account_id)
);

-- What was spent in a window of a limit. scope_id is '' where the scope is the account;
-- window_start is the period, the local day, or -infinity where all counts.
create table credits_private.limit_counters (
  account_id text not null,
  limit_id text not null,
  window_start date not null,
  scope_id text not null,
  spent bigint not null default 0,
  last_entry_id bigint not null default 0,
  constraint a_limit_has_one_counter_per_window
    primary key (account_id, limit_id, window_start, scope_id),
  constraint a_counter_belongs_to_a_limit foreign key (account_id, limit_id)
    references credits_private.limits (account_id, limit_id)
)
with (fillfactor = 70);

-- Why a call is refused, as a value: a batch answers with it, a single call raises it.
create type credits_private.refusal as (
  code text,
  message text,
  detail jsonb,
  hint text,
  invariant text
);

-- What an account has at a moment, whether or not what is due by then has been settled.
create type credits_private.figures as (
  available bigint,
  scoped bigint,
  held bigint,
  debt bigint,
  next_expiry_at timestamptz,
  next_expiry_amount bigint
);

create type credits_private.limit_check as (
  refusal credits_private.refusal,
  exceeded_limits text[]
);

alter type credits_private.answer
  add attribute is_known boolean,
  add attribute is_other boolean,
  add attribute details jsonb;

alter type credits.grant_credits_result add attribute repaid bigint;
alter type credits.deduct_credits_result add attribute exceeded_limits text[];
alter type credits.refund_credits_result add attribute repaid bigint;

create type credits_private.deduction as (
  result credits.deduct_credits_result,
  refusal credits_private.refusal
);

create type credits.deduct_credits_batch_result as (
  deduction int,
  account_id text,
  idempotency_key text,
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean,
  exceeded_limits text[],
  error_code text,
  error_message text,
  error_detail jsonb
);

create type credits.hold_credits_result as (
  hold_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean,
  expires_at timestamptz,
  exceeded_limits text[]
);

create type credits.capture_hold_result as (
  hold_id bigint,
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean,
  held bigint,
  exceeded_limits text[]
);

create type credits.release_hold_result as (
  hold_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean
);

create type credits.extend_hold_result as (
  hold_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  expires_at timestamptz
);

create type credits.revoke_grant_result as (
  grant_id bigint,
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean,
  outstanding bigint
);

create type credits.limit_result as (
  limit_id text,
  scope text,
  scope_id text,
  limit_window text,
  ceiling bigint,
  overage bigint
);

create type credits.explain_balance_result as (
  grant_id bigint,
  source text,
  kind text,
  api_key_id text,
  operation text,
  amount bigint,
  held bigint,
  entries bigint
);
