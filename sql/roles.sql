-- Who may do what, on one page. credits_owner owns everything and logs in nowhere; the public
-- functions run as it, and never as a superuser. Nothing is for PUBLIC: every function revokes that
-- where it is created. An app's role gets what it needs by `grant credits_spender to my_app`.

revoke all on schema credits, credits_private from public;
revoke all on all tables in schema credits, credits_private from public;
revoke all on all functions in schema credits, credits_private from public;
grant usage on schema credits to credits_spender, credits_granter, credits_auditor;

-- An app's workers: what its users spend. No grants, no refunds, no look at other accounts.
grant execute on function
  credits.available_for(text, text),
  credits.deduct_credits(text, bigint, text, text, text, text, jsonb)
to credits_spender;

-- A billing service, a back office, a job that settles: what gives credits, and settings.
grant execute on function
  credits.available_for(text, text),
  credits.grant_credits(
    text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb),
  credits.open_account(text, text, int, bigint, text, int, jsonb),
  credits.refund_credits(text, bigint, text, bigint, jsonb),
  credits.settle_account(text),
  credits.settle_due(int)
to credits_granter;

-- Finance and support: every view, and nothing that writes.
grant select on
  credits.discrepancies, credits.entries, credits.grants, credits.invoice, credits.invoice_lines,
  credits.remaining, credits.transactions, credits.usage
to credits_auditor;
grant execute on function
  credits.available_for(text, text),
  -- `remaining` calls these two: Postgres checks a view's functions against its reader.
  credits_private.next_anchor(date, int),
  credits_private.period_at(timestamptz, date, date, timestamptz, text, int)
to credits_auditor;
