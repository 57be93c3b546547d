-- requires: checks/
-- requires: views/limits.sql
-- requires: views/limit_uses.sql
--
-- Every promise that stored rows can show to be broken, each by a check of its own in sql/checks/.
-- A check takes nothing from the code that keeps its promise: it compares a figure with the ledger,
-- or the ledger with itself. A filter by account_id reaches into every check, which then reads one
-- account.
create or replace view credits.discrepancies as
table credits_private.check_balance_equals_ledger
union all table credits_private.check_grants_equal_ledger
union all table credits_private.check_balance_equals_grants_less_debt
union all table credits_private.check_debt_and_free_credit_never_coexist
union all table credits_private.check_usage_equals_ledger
union all table credits_private.check_invoice_equals_balance_delta
union all table credits_private.check_invoice_lines_sum_to_invoice
union all table credits_private.check_entries_are_gapless
union all table credits_private.check_entries_are_immutable
union all table credits_private.check_entries_never_run_back_in_time
union all table credits_private.check_counters_change_only_with_the_ledger
union all table credits_private.check_available_is_never_negative
union all table credits_private.check_available_is_spendable
union all table credits_private.check_a_request_takes_effect_once
union all table credits_private.check_refunds_never_exceed_the_original
union all table credits_private.check_expired_credit_is_never_spent
union all table credits_private.check_settling_late_changes_nothing
union all table credits_private.check_every_change_has_an_entry
union all table credits_private.check_held_equals_open_holds
union all table credits_private.check_a_hold_is_resolved_once
union all table credits_private.check_an_account_stays_bounded
union all table credits_private.check_limits_equal_ledger
union all table credits_private.check_limits_are_never_passed
union all table credits_private.check_the_clock_is_not_ahead
union all table credits_private.check_every_account_can_be_settled
union all table credits_private.check_only_granted_roles_can_call
union all table credits_private.check_a_key_has_one_answer;

comment on view credits.discrepancies is $comment$
One row per broken promise; no row means that every promise holds. Without a filter it reads the
whole ledger; filtered by account_id, it reads that account alone.
$comment$;

comment on column credits.discrepancies.invariant is
  'the promise, by the name that README, the tests and the errors use';
comment on column credits.discrepancies.account_id is 'null for what concerns no account';
comment on column credits.discrepancies.expected is 'what the ledger says';
comment on column credits.discrepancies.actual is 'what was found';
comment on column credits.discrepancies.subject is 'which figure, grant, entry or object';

-- Views called it before migration 0007. By now all of them are replaced.
drop function if exists credits_private.limit_scope_id(credits_private.limits, text, text, text);
