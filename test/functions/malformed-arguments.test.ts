import { beforeAll, describe, expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { type Arguments, call, everything } from './calls.ts';

const db = useDatabase();

const tooLarge = '9007199254740992'; // 2^53
const ids = {
  '0 bytes': '',
  '256 bytes': 'x'.repeat(256),
  '128 characters of 2 bytes': 'é'.repeat(128),
};
const requiredIds = { null: null, ...ids };
const amounts = { null: null, zero: 0, negative: -1, '2^53': tooLarge };
const optionalAmounts = { zero: 0, negative: -1, '2^53': tooLarge };
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
      p_time_zone: {
        empty: '',
        'of their own': 'x5',
        unknown: 'Europe/Atlantis',
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
      p_expires_at: { infinite: 'infinity', 'minus infinite': '-infinity', past: '2024-01-01Z' },
      p_effective_at: { infinite: 'infinity', 'minus infinite': '-infinity' },
      p_operations: {
        empty: [],
        'an empty operation': ['search', ''],
        'a null operation': ['search', null],
        'an operation of 256 bytes': ['x'.repeat(256)],
      },
      p_paid_amount: { negative: -1, '2^53': tooLarge, 'no currency': 5 },
      p_paid_currency: ids,
      p_metadata: requiredDocuments,
    },
  },
  deduct_credits: {
    valid: spending,
    bad: {
      p_account_id: requiredIds,
      p_amount: amounts,
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

test('a currency without an amount is refused', async () => {
  const args = { p_account_id: 'acme', ...spending, p_paid_currency: 'EUR' };
  const error = await raised(call(db, 'grant_credits', args));
  expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_paid_amount' } });
});

test('what this version cannot do yet is refused, not ignored', async () => {
  const before = await everything(db);
  const overdraft = { p_account_id: 'acme', p_overdraft_limit: 1 };
  expect(await raised(call(db, 'open_account', overdraft))).toMatchObject({
    code: '22023',
    detail: { argument: 'p_overdraft_limit' },
  });
  const scheduled = { p_account_id: 'acme', ...spending, p_effective_at: '2100-01-01Z' };
  expect(await raised(call(db, 'grant_credits', scheduled))).toMatchObject({
    code: '22023',
    detail: { argument: 'p_effective_at' },
  });
  expect(await everything(db)).toBe(before);
});
