import { beforeAll, describe, expect, test } from 'vitest';
import { type Arguments, call, callAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { refusal } from '../../support/ledger.ts';

const db = useDatabase();

const key = { p_idempotency_key: 'new' };
const on = (name: string, args: Arguments) => (account: string) =>
  call(db, name, { p_account_id: account, ...args });

// Of 100 credits, holds 1 to 4 have 10 each: expired, released, captured and open.
beforeAll(async () => {
  for (const account of ['acme', 'other']) {
    const at = (time: string, name: string, args: Arguments) =>
      callAt(db, name, time, { p_account_id: account, ...args });
    await at('2024-01-01Z', 'grant_credits', { p_amount: 100, p_idempotency_key: 'grant' });
    for (const hold of ['expired', 'released', 'captured', 'open']) {
      const lasts = hold === 'expired' ? '1 day' : '9 years';
      const args = { p_idempotency_key: hold, p_expires_in: lasts, p_operation: 'search' };
      await at('2024-01-01Z', 'hold_credits', { p_amount: 10, ...args });
    }
    await at('2024-01-03Z', 'release_hold', { p_hold_id: 2, p_idempotency_key: 'release' });
    const capture = { p_amount: 10, p_final: true, p_idempotency_key: 'capture' };
    await at('2024-01-04Z', 'capture_hold', { p_hold_id: 3, ...capture });
    await at('2024-01-05Z', 'set_limit', {
      ...{ p_limit_id: 'soft', p_ceiling: 20, p_overage: 5 },
      ...{ p_scope: 'run', p_scope_id: 'run', p_window: 'total' },
    });
  }
});

describe('PT402', () => {
  test('a hold of more than is available says how much is', async () => {
    const error = await refusal(db, on('hold_credits', { ...key, p_amount: 81 }));
    expect(error).toMatchObject({ code: 'PT402', constraint: 'available_is_never_negative' });
    expect(error.detail).toEqual({
      account_id: 'acme',
      requested: 81,
      available: 80,
      invariant: 'available_is_never_negative',
    });
  });

  test('a capture of more than is held and available says how much is', async () => {
    const capture = { ...key, p_hold_id: 4, p_amount: 91 };
    const error = await refusal(db, on('capture_hold', capture));
    expect(error).toMatchObject({ code: 'PT402', constraint: 'available_is_never_negative' });
    expect(error.detail).toEqual({
      account_id: 'acme',
      requested: 91,
      available: 90,
      operation: 'search',
      hold_id: 4,
      invariant: 'available_is_never_negative',
    });
  });
});

const ofHold = (hold: number): [string, Arguments][] => [
  ['capture_hold', { ...key, p_hold_id: hold, p_amount: 1 }],
  ['release_hold', { ...key, p_hold_id: hold }],
  ['extend_hold', { p_hold_id: hold, p_expires_in: '10 years' }],
];

describe('PT404', () => {
  test.each(ofHold(5))('%s of a hold that there is not', async (name, args) => {
    const error = await refusal(db, on(name, args));
    expect(error).toMatchObject({ code: 'PT404', detail: { account_id: 'acme', hold_id: 5 } });
  });

  test('a grant that there is not', async () => {
    const error = await refusal(db, on('revoke_grant', { ...key, p_grant_id: 2 }));
    expect(error).toMatchObject({ code: 'PT404', detail: { account_id: 'acme', grant_id: 2 } });
  });
});

describe.each([
  ['expired', 1, '2024-01-02T00:00:00Z'],
  ['released', 2, '2024-01-03T00:00:00Z'],
  ['captured', 3, '2024-01-04T00:00:00Z'],
])('PT410: a hold that is %s', (state, hold, resolvedAt) => {
  test.each(ofHold(hold))('%s says so, and since when', async (name, args) => {
    const error = await refusal(db, on(name, args));
    expect(error).toMatchObject({ code: 'PT410', constraint: 'a_hold_is_resolved_once' });
    expect(error.detail).toEqual({
      account_id: 'acme',
      hold_id: hold,
      state,
      resolved_at: resolvedAt,
      invariant: 'a_hold_is_resolved_once',
    });
  });
});

describe('PT429', () => {
  test.each([
    ['deduct_credits', { ...key, p_amount: 26, p_run_id: 'run' }],
    ['hold_credits', { ...key, p_amount: 26, p_run_id: 'run' }],
  ])('%s says which limit, its ceiling, and what is left', async (name, args) => {
    const error = await refusal(db, on(name, args));
    expect(error).toMatchObject({ code: 'PT429', constraint: 'limits_are_never_passed' });
    expect(error.detail).toEqual({
      account_id: 'acme',
      limit_id: 'soft',
      scope: 'run',
      scope_id: 'run',
      window: 'total',
      ceiling: 20,
      overage: 5,
      spent: 0,
      reserved: 0,
      remaining: 25,
      requested: 26,
      invariant: 'limits_are_never_passed',
    });
  });
});

describe('PT423', () => {
  beforeAll(async () => {
    for (const account of ['acme', 'other']) {
      await call(db, 'open_account', { p_account_id: `closed ${account}` });
      await call(db, 'close_account', { p_account_id: `closed ${account}` });
    }
  });

  const begins: [string, Arguments][] = [
    ['open_account', {}],
    ['grant_credits', { ...key, p_amount: 1 }],
    ['deduct_credits', { ...key, p_amount: 1 }],
    ['hold_credits', { ...key, p_amount: 1 }],
    ['extend_hold', { p_hold_id: 1, p_expires_in: '1 hour' }],
    ['set_limit', { p_limit_id: 'limit', p_ceiling: 1 }],
    ['remove_limit', { p_limit_id: 'limit' }],
    ['set_overdraft_limit', { p_overdraft_limit: 1 }],
  ];
  test.each(begins)('%s on an account that is closed', async (name, args) => {
    const error = await refusal(db, (account) =>
      call(db, name, { p_account_id: `closed ${account}`, ...args }),
    );
    expect(error).toMatchObject({ code: 'PT423', detail: { account_id: 'closed acme' } });
    expect(Date.parse(error.detail.closed_at)).toBeGreaterThan(Date.parse('2024-01-01Z'));
  });
});
