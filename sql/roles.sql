-- Who may do what, on one page (only_granted_roles_can_call). credits_owner owns everything and logs
-- in nowhere; the public functions run as it, and never as a superuser. An app's role gets what it
-- needs by `grant credits_spender to my_app`.
--
-- Nothing is for PUBLIC, nor for anybody else who is not named here: right before this file, every
-- deploy takes away what others than the owner may do in the schemas, functions and types included
-- (scripts/deploy/privileges.ts), whether Postgres gives it by default or somebody gave it.
--
-- Every function has `set search_path = pg_temp`, and names what is ours by its schema. That path is
-- pg_catalog, which comes first unless it is named, and then the session's temporary schema. With
-- an empty one, Postgres looks for a type there first of all: a caller's temporary domain `jsonb`,
-- with a check, would run that check as credits_owner.
--
-- A text argument comes with the collation of the caller's expression, which beats a column's: one
-- that makes case equal would find another account, and one that is not the index's would find no
-- index. So these functions use a text argument only as `p_x collate "default"`, and hand it on so.

grant usage on schema credits to credits_spender, credits_granter, credits_auditor;

-- An app's workers: what its users spend. No grants, no refunds, no look at other accounts.
grant execute on function
  credits.available_for(text, text),
  credits.capture_hold(text, bigint, bigint, text, boolean, jsonb),
  credits.deduct_credits(text, bigint, text, text, text, text, jsonb),
  credits.deduct_credits_batch(jsonb, boolean),
  credits.extend_hold(text, bigint, interval),
  credits.hold_credits(text, bigint, text, interval, text, text, text, jsonb),
  credits.release_hold(text, bigint, text)
to credits_spender;

-- A billing service, a back office, a job that settles: what gives and takes back credits, and
-- settings.
grant execute on function
  credits.available_for(text, text),
  credits.close_account(text),
  credits.forget_account(text),
  credits.grant_credits(
    text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb,
    interval),
  credits.open_account(text, text, int, bigint, text, int, jsonb),
  credits.refund_credits(text, bigint, text, bigint, jsonb),
  credits.remove_limit(text, text),
  credits.revoke_grant(text, bigint, text, bigint, text, jsonb),
  credits.set_limit(text, text, bigint, text, text, text, bigint),
  credits.set_overdraft_limit(text, bigint),
  credits.settle_account(text),
  credits.settle_due(int)
to credits_granter;

-- Finance and support: every view, and nothing that moves a credit. explain_balance books what is
-- due, as time has decided it.
grant select on
  credits.accounts, credits.discrepancies, credits.entries, credits.grants, credits.holds, credits.invoice,
  credits.invoice_lines, credits.limits, credits.remaining, credits.transactions, credits.usage
to credits_auditor;
grant execute on function
  credits.available_for(text, text),
  credits.explain_balance(text, timestamptz),
  -- Views call these: Postgres checks a view's functions against its reader.
  credits_private.figures(text, text, timestamptz),
  credits_private.grants_at(text, timestamptz),
  credits_private.interval_of(jsonb),
  credits_private.is_time_zone(text),
  credits_private.limit_scope_id(text, text, jsonb, text, text, text),
  credits_private.limit_window_start(text, date, timestamptz, text),
  credits_private.midnight(date, text),
  credits_private.moment_after(timestamptz, interval),
  credits_private.next_anchor(date, int),
  credits_private.period_shown(timestamptz, date, date, timestamptz, text, int)
to credits_auditor;
