import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Arguments,
  call,
  callAt,
  captureAt,
  extendAt,
  grantAt,
  holdAt,
  releaseAt,
  settleAt,
} from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { everything, figuresAt, refusal } from '../../support/ledger.ts';
import { HOUR, moment, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z') + 123_456;
const later = us('2030-01-10T00:00:00Z');

// Hold 1 is captured, 2 released by a capture of 0, 3 released, 4 captured in parts, 5 has expired and
// nobody has settled that; 6 is open for years. Of another account, hold 7 is.
beforeAll(async () => {
  for (const account of ['acme', 'other']) {
    const at = (seconds: number) => start + seconds * 1_000_000;
    await grantAt(db, account, start, { key: 'grant', amount: 100 });
    for (const n of [1, 2, 3, 4, 5]) {
      await holdAt(db, account, start, { key: `hold ${n}`, amount: 10 });
    }
    await holdAt(db, account, start, { key: 'hold 6', amount: 10, expiresIn: '10 years' });
    await captureAt(db, account, at(1), { key: 'capture 1', hold: 1, amount: 4 });
    await captureAt(db, account, at(2), { key: 'capture 2', hold: 2, amount: 0 });
    await releaseAt(db, account, at(3), { key: 'release', hold: 3 });
    await captureAt(db, account, at(4), { key: 'part', hold: 4, amount: 10, final: false });
    await captureAt(db, account, at(5), { key: 'capture 4', hold: 4, amount: 2 });
  }
  await grantAt(db, 'another', start, { key: 'grant', amount: 100 });
  for (const n of [1, 2, 3, 4, 5, 6, 7]) {
    await holdAt(db, 'another', start, { key: `hold ${n}`, amount: 1, expiresIn: '10 years' });
  }
});

const key = { p_idempotency_key: 'new' };
const calls: [string, Arguments][] = [
  ['capture_hold', { ...key, p_amount: 1 }],
  ['release_hold', key],
  ['extend_hold', { p_expires_in: '1 year' }],
];
const on = (name: string, args: Arguments) => (account: string) =>
  call(db, name, { p_account_id: account, ...args });

describe.each(calls)('%s', (name, args) => {
  test.each([
    [1, 'captured', '2024-01-10T00:00:01.123456Z'],
    [2, 'released', '2024-01-10T00:00:02.123456Z'],
    [3, 'released', '2024-01-10T00:00:03.123456Z'],
    [4, 'captured', '2024-01-10T00:00:05.123456Z'],
    [5, 'expired', '2024-01-10T01:00:00.123456Z'],
  ])('PT410: of hold %i, which is %s, says so and since when', async (hold, state, since) => {
    const error = await refusal(db, on(name, { ...args, p_hold_id: hold }));
    expect(error).toMatchObject({ code: 'PT410', constraint: 'a_hold_is_resolved_once' });
    expect(error.detail).toEqual({
      account_id: 'acme',
      hold_id: hold,
      state,
      resolved_at: since,
      invariant: 'a_hold_is_resolved_once',
    });
  });

  test('PT404: of a hold that there is not, or only in another account', async () => {
    const error = await refusal(db, on(name, { ...args, p_hold_id: 7 }));
    expect(error).toMatchObject({ code: 'PT404', detail: { account_id: 'acme', hold_id: 7 } });
  });

  test('PT404: of an account that nobody opened', async () => {
    const error = await refusal(db, (account) =>
      on(name, { ...args, p_hold_id: 1 })(`not ${account}`),
    );
    expect(error).toMatchObject({ code: 'PT404', detail: { account_id: 'not acme' } });
  });
});

test('PT404: a hold on an account that nobody opened does not open it', async () => {
  const error = await refusal(db, (account) =>
    on('hold_credits', { ...key, p_amount: 1 })(`not ${account}`),
  );
  expect(error).toMatchObject({ code: 'PT404', detail: { account_id: 'not acme' } });
});

test.each([
  ['hold_credits', { p_amount: 1, p_idempotency_key: 'grant' }, 'grant_credits', 1],
  ['capture_hold', { p_hold_id: 6, p_amount: 1, p_idempotency_key: 'grant' }, 'grant_credits', 1],
  ['release_hold', { p_hold_id: 6, p_idempotency_key: 'grant' }, 'grant_credits', 1],
  ['capture_hold', { p_hold_id: 6, p_amount: 1, p_idempotency_key: 'hold 6' }, 'hold_credits'],
  ['deduct_credits', { p_amount: 10, p_idempotency_key: 'hold 6' }, 'hold_credits'],
  ['refund_credits', { p_transaction_id: 2, p_idempotency_key: 'capture 1' }, 'capture_hold', 2],
] as const)('PT409: %s with a key that another function has used: %o', async (...row) => {
  const [name, args, first, transaction] = row;
  const error = await refusal(db, on(name, args));
  expect(error).toMatchObject({ code: 'PT409', constraint: 'a_request_takes_effect_once' });
  expect(error.detail).toEqual({
    account_id: 'acme',
    idempotency_key: args.p_idempotency_key,
    ...(transaction === undefined ? {} : { transaction_id: transaction }),
    function: first,
    invariant: 'a_request_takes_effect_once',
  });
});

const endless = ['infinity', '-infinity'];
test.each(endless)('22023: an interval of %s, where the server has one', async (interval) => {
  const before = await everything(db);
  for (const [name, args] of [
    ['hold_credits', { ...key, p_amount: 1 }],
    ['extend_hold', { p_hold_id: 6 }],
  ] as const) {
    const error = await raised(on(name, { ...args, p_expires_in: interval })('acme'));
    // Before Postgres 17 it is no interval.
    if (error.code === '22007') continue;
    expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_expires_in' } });
  }
  expect(await everything(db)).toBe(before);
});

test('a hold lasts ten years at most, and a microsecond at least', async () => {
  await grantAt(db, 'bounds', start, { key: 'grant', amount: 100 });
  const hold = (expiresIn: string) =>
    holdAt(db, 'bounds', later, { key: expiresIn, amount: 1, expiresIn });
  const ends = async (expiresIn: string) => (await hold(expiresIn)).expires_at.toISOString();
  expect(await ends('10 years')).toBe('2040-01-10T00:00:00.000Z');
  expect(await ends('3652 days')).toBe('2040-01-10T00:00:00.000Z');
  for (const expiresIn of ['10 years 1 microsecond', '3653 days', '-1 day 24 hours']) {
    const error = await raised(hold(expiresIn));
    expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_expires_in' } });
  }
  await hold('1 microsecond');
  expect(await figuresAt(db, 'bounds', later)).toMatchObject({ held: 3 });
  expect(await figuresAt(db, 'bounds', later + 1)).toMatchObject({ held: 2 });
});

test('an extension never shortens, and settles what else is due', async () => {
  await grantAt(db, 'longer', start, { key: 'grant', amount: 10 });
  await grantAt(db, 'longer', start, { key: 'soon', amount: 5, expires: start + 1 });
  await holdAt(db, 'longer', start, { key: 'hold', amount: 1, expiresIn: '3 hours' });
  const extend = async (at: number, expiresIn: string) => {
    const answer = await extendAt(db, 'longer', at, { hold: 1, expiresIn });
    return [answer.balance, answer.amount, answer.expires_at.getTime() * 1000];
  };
  const shown = Math.floor(start / 1000) * 1000; // a Date has no microseconds
  expect(await extend(start, '1 hour')).toEqual([15, 1, shown + 3 * HOUR]);
  expect(await extend(start + HOUR, '1 microsecond')).toEqual([11, 1, shown + 3 * HOUR]);
  expect(await extend(start + HOUR, '2 hours')).toEqual([11, 1, shown + 3 * HOUR]);
  expect(await extend(start + 2 * HOUR, '2 hours')).toEqual([11, 1, shown + 4 * HOUR]);
  // Repeated, it counts from its own now.
  expect(await extend(start + 3 * HOUR, '2 hours')).toEqual([11, 1, shown + 5 * HOUR]);
  // At the moment at which it would have ended first, nothing ends.
  await settleAt(db, 'longer', start + 4 * HOUR);
  expect(await figuresAt(db, 'longer', start + 5 * HOUR - 1)).toMatchObject({ held: 1 });
  expect(await figuresAt(db, 'longer', start + 5 * HOUR)).toMatchObject({ held: 0 });
  expect(
    await raised(extendAt(db, 'longer', start + 5 * HOUR, { hold: 1, expiresIn: '1 day' })),
  ).toMatchObject({
    code: 'PT410',
    detail: { state: 'expired', resolved_at: moment(start + 5 * HOUR) },
  });
});

test('a closed account’s holds can be captured and released, not made or extended', async () => {
  const at = (name: string, args: Arguments) =>
    callAt(db, name, moment(start), { p_account_id: 'closed', ...args });
  await grantAt(db, 'closed', start, { key: 'grant', amount: 10 });
  for (const n of [1, 2]) await holdAt(db, 'closed', start, { key: `hold ${n}`, amount: 4 });
  await at('close_account', {});
  const hold = raised(holdAt(db, 'closed', start, { key: 'hold 3', amount: 1 }));
  expect(await hold).toMatchObject({ code: 'PT423', detail: { account_id: 'closed' } });
  const extend = raised(extendAt(db, 'closed', start, { hold: 1, expiresIn: '1 day' }));
  expect(await extend).toMatchObject({ code: 'PT423', detail: { account_id: 'closed' } });
  expect(await holdAt(db, 'closed', start, { key: 'hold 1', amount: 4 })).toMatchObject({
    hold_id: 1,
    replayed: true,
  });
  const capture = { key: 'capture', hold: 1, amount: 3 };
  expect(await captureAt(db, 'closed', start, capture)).toMatchObject({ balance: 7, available: 0 });
  expect(await releaseAt(db, 'closed', start, { key: 'release', hold: 2 })).toMatchObject({
    amount: 4,
    balance: 7,
    available: 0,
  });
});
