-- Who may do what, on one page (only_granted_roles_can_call). credits_owner owns everything and
-- cannot log in; the public functions run as it, and never as a superuser. An app's role gets what
-- it needs by `grant credits_spender to my_app`.
--
-- PUBLIC gets nothing, and neither does any other role that is not named here. Right before this
-- file, every deploy revokes whatever anyone but the owner may do in the schemas, functions and
-- types included (scripts/deploy/privileges.ts), whether it is a default of Postgres or was
-- granted.
--
-- Every function has `set search_path = pg_temp`, and names what is ours by its schema. That path
-- means pg_catalog, which comes first unless it is named, and then the session's temporary schema.
-- With an empty path, Postgres would look for a type in the temporary schema first: a caller's
-- temporary domain `jsonb`, with a check, would run that check as credits_owner.
--
-- A text argument comes with the collation of the caller's expression, which beats a column's. A
-- collation that ignores case would find another account, and one that is not the index's would
-- find no index. So these functions use a text argument only as `p_x collate "default"`, and pass
-- it on so.

grant usage on schema credits to credits_spender, credits_granter, credits_auditor;

-- An app's workers, which spend for its users. No grants, no refunds, and no reading of accounts.
grant execute on function
  credits.available_for(text, text),
  credits.capture_hold(text, bigint, bigint, text, boolean, jsonb),
  credits.deduct_credits(text, bigint, text, text, text, text, jsonb),
  credits.deduct_credits_batch(jsonb, boolean),
  credits.extend_hold(text, bigint, interval),
  credits.hold_credits(text, bigint, text, interval, text, text, text, jsonb),
  credits.release_hold(text, bigint, text)
to credits_spender;

-- A billing service, a back office, or a job that settles: giving and taking back credits, and
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
-- due, but time alone has decided that.
grant select on
  credits.accounts, credits.discrepancies, credits.entries, credits.grants, credits.holds,
  credits.invoice, credits.invoice_lines, credits.limits, credits.remaining,
  credits.transactions, credits.usage
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
  credits_private.period_shown(timestamptz, date, date, timestamptz, text, int),
  credits_private.periods_of(text)
to credits_auditor;
