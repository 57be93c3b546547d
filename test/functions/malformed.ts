import type { Arguments } from '../support/calls.ts';

// Malformed arguments, by function and argument. A parameter that is missing here fails in
// errors.test.ts.

export interface Malformed {
  name: string;
  /** Arguments of a sound call, without the account. */
  valid: Arguments;
  /** By the argument that is wrong, and what is wrong about it. One at a time. */
  bad: Record<string, Record<string, unknown>>;
  /** Arguments that are wrong only together, with the one that is blamed. */
  together?: [what: string, argument: string, args: Arguments][];
}

const tooLarge = '9007199254740992'; // 2^53
const outOfBounds = {
  ...{ negative: -1, '2^53': tooLarge },
  ...{ '2^63 - 1': '9223372036854775807', '-2^63': '-9223372036854775808' },
};
const ids = {
  '0 bytes': '',
  '256 bytes': 'x'.repeat(256),
  '128 characters of 2 bytes': 'é'.repeat(128),
};
const requiredIds = { null: null, ...ids };
const deductibles = { null: null, ...outOfBounds };
const amounts = { ...deductibles, zero: 0 };
const optionalAmounts = { zero: 0, ...outOfBounds };
const numbers = { null: null, zero: 0, negative: -1 };
const endless = {
  infinite: 'infinity',
  'minus infinite': '-infinity',
  'the last that Postgres has': '294276-12-31Z',
};
const durations = {
  null: null,
  nothing: '0',
  negative: '-1 microsecond',
  'more than ten years': '10 years 1 microsecond',
  'beyond all time': '300000 years',
};
const words = { null: null, empty: '', unknown: 'other', 'in upper case': 'DEBT' };
const documents = {
  'an array': '[]',
  'a text': '"text"',
  'a number': '1',
  'json null': 'null',
  'more than 8 kB': JSON.stringify({ text: 'x'.repeat(8181) }), // 8193 bytes as jsonb shows it
};
const requiredDocuments = { null: null, ...documents };
const account = { p_account_id: requiredIds };
const request = { ...account, p_idempotency_key: requiredIds };
const spending = { p_amount: 1, p_idempotency_key: 'new' };
const uses = { p_api_key_id: ids, p_operation: ids, p_run_id: ids };

const deduction = { account_id: 'acme', amount: 1, idempotency_key: 'new' };
const deductions = {
  null: null,
  'an object': JSON.stringify(deduction),
  'a text': '"deductions"',
  'a number': '5',
  'json null': 'null',
  '10,001 deductions': JSON.stringify(Array.from({ length: 10_001 }, () => deduction)),
};

export const malformed: Malformed[] = [
  {
    name: 'open_account',
    valid: {},
    bad: {
      ...account,
      p_unit: ids,
      p_scale: { negative: -1, '16': 16 },
      p_overdraft_limit: outOfBounds,
      p_time_zone: {
        empty: '',
        'a POSIX rule': 'x5',
        'a POSIX rule that looks like a city': 'Europe/Atlantis5',
        unknown: 'Europe/Atlantis',
        'an abbreviation': 'CEST',
        'in lower case': 'europe/berlin',
        'an offset': '+02:00',
      },
      p_anchor_day: { zero: 0, negative: -1, '32': 32 },
      p_metadata: documents,
    },
  },
  {
    name: 'grant_credits',
    valid: spending,
    bad: {
      ...request,
      p_amount: amounts,
      p_source: requiredIds,
      p_priority: { null: null },
      p_expires_at: { ...endless, past: '2024-01-01Z' },
      p_effective_at: endless,
      p_operations: {
        empty: [],
        'an empty operation': ['search', ''],
        'a null operation': ['search', null],
        'an operation of 256 bytes': ['x'.repeat(256)],
      },
      p_paid_amount: outOfBounds,
      p_paid_currency: ids,
      p_metadata: requiredDocuments,
      p_expires_in: { nothing: '0', negative: '-1 microsecond', 'beyond all time': '300000 years' },
    },
    together: [
      ['an amount paid without a currency', 'p_paid_amount', { p_paid_amount: 5 }],
      ['a currency without an amount paid', 'p_paid_amount', { p_paid_currency: 'EUR' }],
      [
        'an expiry both as a moment and as an interval',
        'p_expires_in',
        { p_expires_at: '2999-01-01Z', p_expires_in: '1 day' },
      ],
    ],
  },
  {
    name: 'deduct_credits',
    valid: spending,
    bad: { ...request, ...uses, p_amount: deductibles, p_metadata: requiredDocuments },
  },
  {
    name: 'refund_credits',
    valid: { p_transaction_id: 2, p_idempotency_key: 'new' },
    bad: {
      ...request,
      p_transaction_id: { null: null },
      p_amount: optionalAmounts,
      p_metadata: requiredDocuments,
    },
  },
  {
    name: 'hold_credits',
    valid: spending,
    bad: {
      ...request,
      ...uses,
      p_amount: amounts,
      p_expires_in: durations,
      p_metadata: requiredDocuments,
    },
  },
  {
    name: 'capture_hold',
    valid: { p_hold_id: 6, ...spending },
    bad: {
      ...request,
      p_hold_id: numbers,
      p_amount: deductibles,
      p_final: { null: null },
      p_metadata: requiredDocuments,
    },
    together: [['0 that leaves the hold open', 'p_amount', { p_amount: 0, p_final: false }]],
  },
  {
    name: 'release_hold',
    valid: { p_hold_id: 6, p_idempotency_key: 'new' },
    bad: { ...request, p_hold_id: numbers },
  },
  {
    name: 'extend_hold',
    valid: { p_hold_id: 6, p_expires_in: '10 years' },
    bad: { ...account, p_hold_id: numbers, p_expires_in: durations },
  },
  {
    name: 'revoke_grant',
    valid: { p_grant_id: 1, p_idempotency_key: 'new' },
    bad: {
      ...request,
      p_grant_id: numbers,
      p_amount: optionalAmounts,
      p_on_spent: words,
      p_metadata: requiredDocuments,
    },
  },
  {
    name: 'set_limit',
    valid: { p_limit_id: 'runs', p_ceiling: 1, p_scope: 'run' },
    bad: {
      ...account,
      p_limit_id: requiredIds,
      p_ceiling: deductibles,
      p_scope: { ...words, misspelt: 'apikey' },
      p_scope_id: ids,
      p_window: words,
      p_overage: {
        ...deductibles,
        'more than the ceiling leaves room for': '9007199254740991',
      },
    },
    together: [['the id of an account', 'p_scope_id', { p_scope: 'account', p_scope_id: 'acme' }]],
  },
  {
    name: 'remove_limit',
    valid: { p_limit_id: 'runs' },
    bad: { ...account, p_limit_id: requiredIds },
  },
  {
    name: 'set_overdraft_limit',
    valid: { p_overdraft_limit: 1 },
    bad: { ...account, p_overdraft_limit: deductibles },
  },
  { name: 'close_account', valid: {}, bad: account },
  { name: 'forget_account', valid: {}, bad: account },
  {
    name: 'explain_balance',
    valid: {},
    bad: { ...account, p_at: { 'the future': '2999-01-01Z', infinite: 'infinity' } },
  },
  { name: 'available_for', valid: {}, bad: { ...account, p_operation: ids } },
  { name: 'settle_account', valid: {}, bad: account },
  { name: 'settle_due', valid: {}, bad: { p_max_accounts: numbers } },
  ...[false, true].map((all) => ({
    name: 'deduct_credits_batch',
    valid: { p_deductions: JSON.stringify([deduction]), p_all_or_nothing: all },
    bad: { p_deductions: deductions, p_all_or_nothing: { null: null } },
  })),
];

/** The arguments of a sound call, without the account. */
export const validOf = (name: string): Arguments =>
  malformed.find((each) => each.name === name)?.valid ?? {};
