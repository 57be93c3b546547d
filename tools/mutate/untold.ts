const notes = 'the app’s own notes: they are in no other row';
const setting =
  'a setting, which its owner may change at any time: only the column says what it is';
const limit = 'a limit is a setting: only what it has counted is in other rows';
const failure = 'what kept an account from being settled: the row goes when it is settled';

/**
 * Values that no other row confirms, or not always, and why. A change to one of them behind the guards' back may go
 * unfound. The run fails when another change goes unfound, and when a change on this list never does.
 */
export const untold: Record<string, string> = {
  'account_metadata.metadata': notes,
  'account_metadata.account_id': notes,
  'account_metadata (copied)': notes,
  'account_metadata (deleted)': notes,
  'grants.metadata': notes,
  'holds.metadata': notes,
  'entries.metadata': notes,
  'accounts.unit': setting,
  'accounts.scale': setting,
  'accounts.overdraft_limit': setting,
  'accounts.time_zone': setting,
  'accounts.anchor_day': setting,
  'accounts.opened_at':
    'an account can have been opened long before anything happened in it; later than that is found',
  'accounts.closed_at':
    'nothing begins on a closed account: if nothing tried to, no row shows that it is closed, or since when',
  'accounts.last_created_at':
    'the last call may have left no other row, such as one that changed a setting; before the last row is found',
  'accounts.due_at':
    'too early is harmless, and usual: an account that settles with nothing due is due again later; too late is found',
  'entries.run_id':
    'what ran is in the deductions alone; captures and refunds repeat it, and so are found',
  'entries.idempotency_key': 'a deduction keeps its key in its entry alone; other kinds repeat it',
  'entries.available':
    'what was available after a deduction depends on the overdraft of that moment, which is not kept',
  'entries.created_at':
    'when something due was booked is somewhere between what was booked before and after it',
  'entries.is_first':
    'captures from before migration 0005 have none: the first one after it can’t be told from the last of them',
  'grants.created_at':
    'when a grant was scheduled is in no other row; for any other grant it is found',
  'hold_parts.created_at':
    'when the end of a hold that expired was booked is somewhere between what was booked before and after it',
  'holds.expires_at':
    'extend_hold makes it later, and leaves no other row; earlier than at first is found',
  'holds.api_key_id':
    'forgetting replaces it, and for holds made before, the digest of the call no longer shows it',
  'holds.run_id':
    'forgetting replaces it, and for holds made before, the digest of the call no longer shows it',
  'holds.operation':
    'if a hold was forgotten and never captured, the digest of the call no longer shows it',
  'holds.resolved_at': 'no part shows when a hold that had nothing left was released',
  'idempotency_keys.idempotency_key': 'the key of a call without a transaction is in no other row',
  'idempotency_keys.available':
    'what was available after a deduction of nothing is in no other row',
  'idempotency_keys.answer':
    'the balance when the call was answered, and the limits that it had passed, are in no other row',
  'idempotency_keys.fingerprint':
    'a deduction of nothing leaves no row with its arguments; nor does what was forgotten',
  'idempotency_keys.account_id': 'a deduction of nothing leaves no other row',
  'idempotency_keys (copied)': 'a deduction of nothing leaves no other row',
  'idempotency_keys (deleted)': 'a deduction of nothing leaves no other row',
  'limit_counters.last_part_id':
    'a limit that was set while a hold was open starts with the hold’s last part; a part of no hold that it counts, or of an earlier one, is found',
  'limits.limit_id': limit,
  'limits.ceiling': limit,
  'limits.overage': limit,
  'limits.set_entry_id': limit,
  'limits.scope': limit,
  'limits.scope_id': limit,
  'limits.limit_window': limit,
  'limits.counts_from': limit,
  'limits.pseudonyms': limit,
  'limits (copied)': limit,
  'revocations.created_at':
    'no entry shows when a revocation was made that took nothing at the time',
  'period_settings.time_zone':
    'with a zone that the server does not know, no end of a period can be computed',
  'settle_failures.failed_at': failure,
  'settle_failures.retry_at': failure,
  'settle_failures.failures': failure,
  'settle_failures.error_code': failure,
  'settle_failures.error_message': failure,
  'settle_failures (deleted)': failure,
};
