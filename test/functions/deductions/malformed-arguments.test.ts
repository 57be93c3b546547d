import { beforeAll, describe, expect, test } from 'vitest';
import { type Arguments, batch, call } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { everything } from '../../support/ledger.ts';

const db = useDatabase();

const tooLarge = '9007199254740992'; // 2^53
const ids = {
  '0 bytes': '',
  '256 bytes': 'x'.repeat(256),
  '128 characters of 2 bytes': 'é'.repeat(128),
};
const requiredIds = { null: null, ...ids };
const deductibles = { null: null, negative: -1, '2^53': tooLarge };
const amounts = { ...deductibles, zero: 0 };
const optionalAmounts = { zero: 0, negative: -1, '2^53': tooLarge };
const ceilings = { negative: -1, '2^53': tooLarge };
const requiredCeilings = { null: null, ...ceilings };
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
const words = { null: null, empty: '', unknown: 'other' };
const documents = {
  'an array': '[]',
  'a text': '"text"',
  'a number': '1',
  'json null': 'null',
  'more than 8 kB': JSON.stringify({ text: 'x'.repeat(8181) }), // 8193 bytes as jsonb shows it
};
const requiredDocuments = { null: null, ...documents };

const spending = { p_amount: 1, p_idempotency_key: 'new' };
const cases: Record<string, { valid: Arguments; bad: Record<string, Arguments> }> = {
  open_account: {
    valid: {},
    bad: {
      p_account_id: requiredIds,
      p_unit: ids,
      p_scale: { negative: -1, '16': 16 },
      p_overdraft_limit: ceilings,
      p_time_zone: {
        empty: '',
        'of their own': 'x5',
        'of their own, with an area': 'Europe/Atlantis5',
        unknown: 'Europe/Atlantis',
        abbreviation: 'CEST',
        'in lower case': 'europe/berlin',
        offset: '+02:00',
      },
      p_anchor_day: { zero: 0, negative: -1, '32': 32 },
      p_metadata: documents,
    },
  },
  grant_credits: {
    valid: spending,
    bad: {
      p_account_id: requiredIds,
      p_amount: amounts,
      p_idempotency_key: requiredIds,
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
      p_paid_amount: { negative: -1, '2^53': tooLarge, 'no currency': 5 },
      p_paid_currency: ids,
      p_metadata: requiredDocuments,
      p_expires_in: { nothing: '0', negative: '-1 microsecond', 'beyond all time': '300000 years' },
    },
  },
  deduct_credits: {
    valid: spending,
    bad: {
      p_account_id: requiredIds,
      p_amount: deductibles,
      p_idempotency_key: requiredIds,
      p_api_key_id: ids,
      p_operation: ids,
      p_run_id: ids,
      p_metadata: requiredDocuments,
    },
  },
  refund_credits: {
    valid: { p_transaction_id: 2, p_idempotency_key: 'new' },
    bad: {
      p_account_id: requiredIds,
      p_transaction_id: { null: null },
      p_idempotency_key: requiredIds,
      p_amount: optionalAmounts,
      p_metadata: requiredDocuments,
    },
  },
  hold_credits: {
    valid: spending,
    bad: {
      p_account_id: requiredIds,
      p_amount: amounts,
      p_idempotency_key: requiredIds,
      p_expires_in: durations,
      p_api_key_id: ids,
      p_operation: ids,
      p_run_id: ids,
      p_metadata: requiredDocuments,
    },
  },
  capture_hold: {
    valid: { p_hold_id: 1, ...spending },
    bad: {
      p_account_id: requiredIds,
      p_hold_id: numbers,
      p_amount: { null: null, negative: -1, '2^53': tooLarge },
      p_idempotency_key: requiredIds,
      p_final: { null: null },
      p_metadata: requiredDocuments,
    },
  },
  release_hold: {
    valid: { p_hold_id: 1, p_idempotency_key: 'new' },
    bad: { p_account_id: requiredIds, p_hold_id: numbers, p_idempotency_key: requiredIds },
  },
  extend_hold: {
    valid: { p_hold_id: 1, p_expires_in: '1 hour' },
    bad: { p_account_id: requiredIds, p_hold_id: numbers, p_expires_in: durations },
  },
  revoke_grant: {
    valid: { p_grant_id: 1, p_idempotency_key: 'new' },
    bad: {
      p_account_id: requiredIds,
      p_grant_id: numbers,
      p_idempotency_key: requiredIds,
      p_amount: optionalAmounts,
      p_on_spent: words,
      p_metadata: requiredDocuments,
    },
  },
  set_limit: {
    valid: { p_limit_id: 'new', p_ceiling: 1 },
    bad: {
      p_account_id: requiredIds,
      p_limit_id: requiredIds,
      p_ceiling: requiredCeilings,
      p_scope: words,
      p_scope_id: { ...ids, 'one of an account': 'x' },
      p_window: words,
      p_overage: requiredCeilings,
    },
  },
  remove_limit: {
    valid: { p_limit_id: 'new' },
    bad: { p_account_id: requiredIds, p_limit_id: requiredIds },
  },
  set_overdraft_limit: {
    valid: { p_overdraft_limit: 1 },
    bad: { p_account_id: requiredIds, p_overdraft_limit: requiredCeilings },
  },
  close_account: { valid: {}, bad: { p_account_id: requiredIds } },
  forget_account: { valid: {}, bad: { p_account_id: requiredIds } },
  explain_balance: {
    valid: {},
    bad: {
      p_account_id: requiredIds,
      p_at: { 'the future': '2999-01-01Z', infinite: 'infinity' },
    },
  },
  available_for: { valid: {}, bad: { p_account_id: requiredIds, p_operation: ids } },
  settle_account: { valid: {}, bad: { p_account_id: requiredIds } },
};

const rows = Object.entries(cases).flatMap(([name, { valid, bad }]) =>
  Object.entries(bad).flatMap(([argument, values]) =>
    Object.entries(values).map(([what, value]) => ({ name, argument, what, value, valid })),
  ),
);

beforeAll(async () => {
  for (const account of ['acme', 'other']) {
    const args = { p_account_id: account, p_amount: 100 };
    await call(db, 'grant_credits', { ...args, p_idempotency_key: 'grant' });
    await call(db, 'deduct_credits', { ...args, p_idempotency_key: 'deduct' });
  }
});

test.each(rows)('$name refuses $what as $argument', async ({ name, argument, value, valid }) => {
  const before = await everything(db);
  const failure = (account: string) =>
    raised(call(db, name, { p_account_id: account, ...valid, [argument]: value }));
  const error = await failure('acme');
  expect(error.code).toBe('22023');
  expect(error.constraint || undefined).toBeUndefined();
  const blamed = argument === 'p_paid_amount' ? /^p_paid_(amount|currency)$/ : argument;
  expect(error.detail.argument).toEqual(
    typeof blamed === 'string' ? blamed : expect.stringMatching(blamed),
  );
  if (argument !== 'p_account_id') expect(error.detail.account_id).toBe('acme');
  expect(error.hint).toBeTruthy();
  expect(error.message.replace('kB', 'bytes')).toMatch(/^[^A-Z]+$/);
  expect((await failure('other')).message).toBe(error.message);
  expect(await everything(db)).toBe(before);
});

describe('settle_due', () => {
  test.each([null, 0, -1])('refuses %s as the number of accounts', async (value) => {
    const error = await raised(call(db, 'settle_due', { p_max_accounts: value }));
    expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_max_accounts' } });
    expect(error.hint).toBeTruthy();
  });
});

describe('deduct_credits_batch', () => {
  const deduction = { account_id: 'acme', amount: 1, idempotency_key: 'new' };
  test.each([
    ['an object', deduction],
    ['a text', 'deductions'],
    ['a number', 5],
    ['json null', null],
    ['10,001 deductions', Array.from({ length: 10_001 }, () => deduction)],
  ])('refuses %s as the deductions', async (_, deductions) => {
    const before = await everything(db);
    for (const allOrNothing of [false, true]) {
      const error = await raised(batch(db, deductions, allOrNothing));
      expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_deductions' } });
      expect(error.hint).toBeTruthy();
    }
    expect(await everything(db)).toBe(before);
  });

  test('refuses null as either argument', async () => {
    const error = await raised(batch(db, [deduction], null));
    expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_all_or_nothing' } });
    const nothing = call(db, 'deduct_credits_batch', { p_deductions: null });
    expect(await raised(nothing)).toMatchObject({
      code: '22023',
      detail: { argument: 'p_deductions' },
    });
  });
});

test('a currency without an amount is refused', async () => {
  const args = { p_account_id: 'acme', ...spending, p_paid_currency: 'EUR' };
  const error = await raised(call(db, 'grant_credits', args));
  expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_paid_amount' } });
});

test('a capture of 0 that leaves the hold open is refused, as it would do nothing', async () => {
  const args = { p_account_id: 'acme', p_hold_id: 1, ...spending, p_amount: 0, p_final: false };
  const error = await raised(call(db, 'capture_hold', args));
  expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_amount' } });
});
