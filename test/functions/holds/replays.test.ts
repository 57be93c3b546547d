import { beforeEach, describe, expect, test } from 'vitest';
import {
  type Arguments,
  call,
  callAt,
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  refundAt,
  releaseAt,
  revokeAt,
  unique,
} from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';
import { DAY, HOUR, moment, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');

let account: string;
beforeEach(async () => {
  account = unique('account');
  await grantAt(db, account, start, { key: 'grant', amount: 100, expires: start + 5 * DAY });
});

/** Everything that could make the earlier calls impossible: expired, spent, revoked, closed. */
async function changeEverything(): Promise<void> {
  await refundAt(db, account, start + HOUR, { key: 'refund', transaction: 2 });
  await deductAt(db, account, start + 2 * HOUR, { key: 'deduct', amount: 60 });
  await revokeAt(db, account, start + 3 * HOUR, { key: 'revoke', grant: 1, onSpent: 'debt' });
  const at = (time: number, name: string) =>
    callAt(db, name, moment(time), { p_account_id: account });
  await at(start + 6 * DAY, 'settle_account');
  await at(start + 40 * DAY, 'settle_account');
  await at(start + 40 * DAY, 'close_account');
}

test('each call on a hold is answered again as it was at first, whatever has become of it since', async () => {
  const hold = (n: number) => () => holdAt(db, account, start, { key: `hold ${n}`, amount: n });
  const calls = [
    hold(20),
    () => captureAt(db, account, start, { key: 'part', hold: 1, amount: 5, final: false }),
    () => captureAt(db, account, start, { key: 'more', hold: 1, amount: 25, final: false }),
    () => captureAt(db, account, start, { key: 'final', hold: 1, amount: 1 }),
    hold(7),
    () => releaseAt(db, account, start, { key: 'release', hold: 2 }),
    hold(8),
    () => captureAt(db, account, start, { key: 'zero', hold: 3, amount: 0 }),
    hold(9), // expires
  ];
  const answers: Arguments[] = [];
  for (const repeat of calls) answers.push(await repeat());
  expect(answers.every(({ replayed }) => replayed === false)).toBe(true);
  await changeEverything();
  const before = await everything(db);
  for (const [i, repeat] of calls.entries()) {
    const since = i === 1 ? { refunded: 5 } : {}; // only what was refunded is that of now
    expect(await repeat()).toEqual({ ...answers[i], ...since, replayed: true });
  }
  expect(await everything(db)).toBe(before);
  expect(await discrepancies(db)).toEqual([]);
});

test('a replay after the hold has expired settles nothing, and does not mention the expiry', async () => {
  const hold = { key: 'hold', amount: 20 };
  const held = await holdAt(db, account, start, hold);
  const part = { key: 'part', hold: 1, amount: 5, final: false };
  const captured = await captureAt(db, account, start, part);
  const before = await everything(db);
  const late = start + DAY;
  expect(await holdAt(db, account, late, hold)).toEqual({ ...held, replayed: true });
  expect(await captureAt(db, account, late, part)).toEqual({ ...captured, replayed: true });
  expect(await everything(db)).toBe(before);
});

const spending = { p_amount: 5 };
const differing: [string, string, Arguments, Arguments][] = [
  ['hold_credits', 'amount', {}, { p_amount: 6 }],
  ['hold_credits', 'duration', {}, { p_expires_in: '1 hour 1 microsecond' }],
  ['hold_credits', 'duration', { p_expires_in: '1 month' }, { p_expires_in: '1 year' }],
  ['hold_credits', 'API key', { p_api_key_id: 'x' }, { p_operation: 'x' }],
  ['hold_credits', 'operation', { p_operation: 'x' }, { p_run_id: 'x' }],
  ['hold_credits', 'run', {}, { p_run_id: 'x' }],
  ['capture_hold', 'amount', { p_hold_id: 1 }, { p_amount: 6 }],
  ['capture_hold', 'finality', { p_hold_id: 1, p_final: false }, { p_final: true }],
  ['capture_hold', 'hold', { p_hold_id: 1 }, { p_hold_id: 2 }],
  ['release_hold', 'hold', { p_hold_id: 1 }, { p_hold_id: 2 }],
];
/** A call of a key, with an amount where it takes one; holds 1 and 2 are there. */
async function keyed(name: string) {
  const open = { p_account_id: unique('now') };
  await call(db, 'grant_credits', { ...open, p_amount: 99, p_idempotency_key: 'grant' });
  for (const key of ['hold 1', 'hold 2']) {
    await call(db, 'hold_credits', { ...open, p_amount: 10, p_idempotency_key: key });
  }
  const base = { ...open, p_idempotency_key: 'key', ...(name === 'release_hold' ? {} : spending) };
  return (args: Arguments) => call(db, name, { ...base, ...args });
}

describe('another value is another request', () => {
  test.each(differing)('%s: %s, %o and %o', async (name, _, first, other) => {
    const on = await keyed(name);
    await on(first);
    const before = await everything(db);
    const error = await raised(on({ ...first, ...other }));
    expect(error).toMatchObject({ code: 'PT409', constraint: 'a_request_takes_effect_once' });
    expect(await everything(db)).toBe(before);
  });
});

test.each<[string, string, Arguments, Arguments]>([
  ['hold_credits', 'a default written out', {}, { p_expires_in: '1 hour', p_run_id: null }],
  ['hold_credits', 'other words', { p_expires_in: '90 minutes' }, { p_expires_in: '1.5 hours' }],
  ['hold_credits', 'other metadata', { p_metadata: { a: 1 } }, { p_metadata: { a: 2 } }],
  ['capture_hold', 'a default written out', { p_hold_id: 1 }, { p_final: true }],
  ['capture_hold', 'other metadata', { p_hold_id: 1, p_metadata: { a: 1 } }, { p_metadata: {} }],
])('%s with %s is the same request', async (name, _, first, again) => {
  const on = await keyed(name);
  const answer = await on(first);
  expect(await on({ ...first, ...again })).toEqual({ ...answer, replayed: true });
});

test('a hold or capture that was refused leaves its key for another try', async () => {
  const hold = { key: 'hold', amount: 101 };
  expect((await raised(holdAt(db, account, start, hold))).code).toBe('PT402');
  await grantAt(db, account, start, { key: 'more', amount: 1 });
  expect(await holdAt(db, account, start, hold)).toMatchObject({ hold_id: 1, replayed: false });
  const capture = { key: 'capture', hold: 1, amount: 102 };
  expect((await raised(captureAt(db, account, start, capture))).code).toBe('PT402');
  await grantAt(db, account, start, { key: 'even more', amount: 1 });
  const captured = await captureAt(db, account, start, capture);
  expect(captured).toMatchObject({ balance: 0, replayed: false });
});
