const notes = 'the app’s own notes';
const setting = 'a setting, which its owner may change at any time';
const ahead =
  'a guard that also asks whether the figure moved costs every deduction 3 % for each table; that it is ahead is found';
const person = 'a pseudonym may take the place of an id, as forget_account does it';
const limit =
  'a limit is a setting, as long as nothing was counted for it; has_limits would not be true any more, which is found';
const failure = 'what kept an account from being settled: it says nothing of credits';
const whole =
  'a row that is sound by itself is taken, as the functions write it; that no call asked for it is found';

/**
 * What the owner of the tables can change by hand, and why no guard refuses it. The run fails when something else can
 * be changed, and when something that is on the list no longer can.
 */
export const unguarded: Record<string, string> = {
  'account_metadata.metadata': notes,
  'account_metadata.account_id': notes,
  'account_metadata (deleted)': notes,
  'grants.metadata': notes,
  'accounts.overdraft_limit': setting,
  'accounts.time_zone': setting,
  'accounts.anchor_day': setting,
  'accounts.due_at': 'too early is harmless: the account settles, and nothing is due',
  'accounts.last_created_at':
    'every call changes it, so a guard would cost every deduction 1.5 %; a moment before the last row is found',
  'grants.last_entry_id': ahead,
  'usage_counters.last_entry_id': ahead,
  'limit_counters.last_entry_id': ahead,
  'limit_counters.last_part_id': ahead,
  'entries.api_key_id': person,
  'entries.run_id': person,
  'entries.metadata': person,
  'holds.api_key_id': person,
  'holds.run_id': person,
  'holds.metadata': person,
  'usage_counters.api_key_id': person,
  'limit_counters.scope_id': person,
  'holds.expires_at':
    'extend_hold makes it later, and so may the owner of an open hold; never earlier',
  'limits.ceiling': setting,
  'limits.overage': setting,
  'limits (copied)': limit,
  'limits (deleted)': limit,
  'limits.pseudonyms': limit,
  'grants (copied)': whole,
  'revocations (copied)': whole,
  'idempotency_keys (copied)': whole,
  'settle_failures.failed_at': failure,
  'settle_failures.retry_at': failure,
  'settle_failures.failures': failure,
  'settle_failures.error_code': failure,
  'settle_failures.error_message': failure,
  'settle_failures.account_id': failure,
  'settle_failures (deleted)': failure,
};
