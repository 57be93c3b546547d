import { beforeEach, describe, expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  type Hold,
  holdAt,
  type Limit,
  limitAt,
  refundAt,
  releaseAt,
  settleAt,
  unique,
} from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { counters, expectPassed, openAt } from '../../support/limits.ts';
import { DAY, HOUR, us } from '../../support/time.ts';

const db = useDatabase();
const now = us('2024-05-10T12:00:00Z');
const set: Limit = { id: 'run', ceiling: 100, scope: 'run' };
const scope_id = 'r';

let account: string;
beforeEach(async () => {
  account = unique('account');
  await openAt(db, account, now);
  await limitAt(db, account, now, set);
});

const deduct = (amount: number, at = now) =>
  deductAt(db, account, at, { key: unique(), amount, run: 'r' });
const hold = async (amount: number, more: Partial<Hold> = {}): Promise<number> =>
  (await holdAt(db, account, now, { key: unique(), amount, run: 'r', ...more })).hold_id;
const capture = (id: number, amount: number, final = true, at = now) =>
  captureAt(db, account, at, { key: unique(), hold: id, amount, final });
const refund = (transaction: number, amount: number | null = null, at = now) =>
  refundAt(db, account, at, { key: unique(), transaction, amount });

test('a limit counts what is held as reserved, for deductions and holds alike', async () => {
  await deduct(30);
  await hold(50);
  await hold(90, { run: 'other' });
  const left = { spent: 30, reserved: 50, remaining: 20, requested: 21, scope_id };
  await expectPassed(deduct(21), account, set, left);
  await expectPassed(hold(21), account, set, left);
  await hold(20);
  const none = { spent: 30, reserved: 70, remaining: 0, requested: 1, scope_id };
  await expectPassed(deduct(1), account, set, none);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a capture turns what a limit has reserved into spent, and frees the rest', async () => {
  const id = await hold(100);
  await capture(id, 40, false);
  const open = { spent: 40, reserved: 60, remaining: 0, requested: 1, scope_id };
  await expectPassed(deduct(1), account, set, open);
  await capture(id, 35);
  await expectPassed(deduct(26), account, set, {
    spent: 75,
    remaining: 25,
    requested: 26,
    scope_id,
  });
  expect(await counters(db, account)).toEqual([['run', '2024-05-01', 'r', 75]]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a limit gets back what a release or the end of a hold frees, settled or not', async () => {
  const id = await hold(100);
  await expectPassed(deduct(1), account, set, {
    spent: 0,
    reserved: 100,
    remaining: 0,
    requested: 1,
    scope_id,
  });
  await releaseAt(db, account, now, { key: 'release', hold: id });
  await hold(100, { expiresIn: '1 hour' });
  const full = { spent: 0, reserved: 100, remaining: 0, requested: 1, scope_id };
  await expectPassed(deduct(1, now + HOUR - 1), account, set, full);
  expect(await deduct(100, now + HOUR)).toMatchObject({ amount: 100 });
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a hold that would leave a soft ceiling behind says so, also in its replay', async () => {
  await limitAt(db, account, now, { ...set, overage: 10 });
  const asked = { key: 'hold', amount: 105, run: 'r' };
  const first = await holdAt(db, account, now, asked);
  expect(first).toMatchObject({ exceeded_limits: ['run'], replayed: false });
  expect(await holdAt(db, account, now, asked)).toEqual({ ...first, replayed: true });
  await expectPassed(
    hold(6),
    account,
    { ...set, overage: 10 },
    { spent: 0, reserved: 105, remaining: 5, requested: 6, scope_id },
  );
});

test('what is held can be captured, however low a limit is set meanwhile', async () => {
  const id = await hold(100);
  const lower = { ...set, ceiling: 10 };
  await limitAt(db, account, now, lower);
  const full = { spent: 0, reserved: 100, remaining: 0, requested: 1, scope_id };
  await expectPassed(deduct(1), account, lower, full);
  expect(await capture(id, 60, false)).toMatchObject({ amount: 60, exceeded_limits: null });
  expect(await capture(id, 40)).toMatchObject({ amount: 40 });
  const spent = { spent: 100, remaining: 0, requested: 1, scope_id };
  await expectPassed(deduct(1), account, lower, spent);
  expect(await counters(db, account)).toEqual([['run', '2024-05-01', 'r', 100]]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a limit checks the excess of a capture as a deduction, and counts the hold itself once', async () => {
  await deduct(30);
  await hold(10);
  const id = await hold(40);
  await expectPassed(capture(id, 61), account, set, {
    spent: 30,
    reserved: 10,
    remaining: 60,
    requested: 61,
    scope_id,
  });
  await limitAt(db, account, now, { ...set, overage: 1 });
  const asked = { key: 'capture', hold: id, amount: 61 };
  const first = await captureAt(db, account, now, asked);
  expect(first).toMatchObject({ amount: 61, exceeded_limits: ['run'], replayed: false });
  expect(await captureAt(db, account, now, asked)).toEqual({ ...first, replayed: true });
  expect(await counters(db, account)).toEqual([['run', '2024-05-01', 'r', 91]]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a limit gets back what a refund of a deduction or a capture returns, in part or whole', async () => {
  const deduction = (await deduct(60)).transaction_id;
  const captured = (await capture(await hold(40), 40)).transaction_id;
  await refund(deduction, 25);
  await expectPassed(deduct(26), account, set, {
    spent: 75,
    remaining: 25,
    requested: 26,
    scope_id,
  });
  await refund(deduction);
  await refund(captured, 1);
  expect(await counters(db, account)).toEqual([['run', '2024-05-01', 'r', 39]]);
  await deduct(61);
  expect(await discrepancies(db, account)).toEqual([]);
});

describe('a refund lowers the window in which the original was spent', () => {
  beforeEach(async () => {
    await limitAt(db, account, now, { id: 'day', ceiling: 100, window: 'day' });
  });

  test('and leaves a later window as it is', async () => {
    const { transaction_id } = await deduct(60);
    await deduct(90, now + 30 * DAY);
    await refund(transaction_id, 45, now + 30 * DAY);
    expect(await counters(db, account)).toEqual([
      ['day', '2024-05-10', '', 15],
      ['day', '2024-06-09', '', 90],
      ['run', '2024-05-01', 'r', 15],
      ['run', '2024-06-01', 'r', 90],
    ]);
    const later = deduct(11, now + 30 * DAY);
    const left = { spent: 90, remaining: 10, requested: 11 };
    await expectPassed(later, account, { id: 'day', ceiling: 100, window: 'day' }, left);
    expect(await discrepancies(db, account)).toEqual([]);
  });

  test('and none if that was before the limit was set', async () => {
    const { transaction_id } = await deduct(60);
    await settleAt(db, account, now + 30 * DAY);
    const late: Limit = { id: 'late', ceiling: 90 };
    await limitAt(db, account, now + 30 * DAY, late);
    await refund(transaction_id, 45, now + 30 * DAY);
    expect((await counters(db, account)).filter(([id]) => id === 'late')).toEqual([]);
    const more = deductAt(db, account, now + 30 * DAY, { key: 'more', amount: 91 });
    await expectPassed(more, account, late, { spent: 0, remaining: 90, requested: 91 });
    await deductAt(db, account, now + 30 * DAY, { key: 'all', amount: 90 });
    expect(await discrepancies(db, account)).toEqual([]);
  });
});

test('what a limit reserved in one window and a capture took in the next is spent in the next', async () => {
  await limitAt(db, account, now, { id: 'day', ceiling: 100, window: 'day' });
  const id = await hold(70, { expiresIn: '2 days' });
  const tomorrow = now + DAY;
  const left = { spent: 0, reserved: 70, remaining: 30, requested: 31 };
  const day: Limit = { id: 'day', ceiling: 100, window: 'day' };
  const more = deductAt(db, account, tomorrow, { key: 'more', amount: 31 });
  await expectPassed(more, account, day, left);
  await capture(id, 70, true, tomorrow);
  expect(await counters(db, account)).toEqual([
    ['day', '2024-05-11', '', 70],
    ['run', '2024-05-01', 'r', 70],
  ]);
  expect(await discrepancies(db, account)).toEqual([]);
});
