import { beforeEach, expect, test } from 'vitest';
import {
  callAt,
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  overdraftAt,
  refundAt,
  releaseAt,
  revokeAt,
  settleAt,
  unique,
} from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, moment, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');
const closed = start + DAY;

const closeAt = (at: number) => callAt(db, 'close_account', at, { p_account_id: account });

let account: string;
/** 70 credits, of which hold 1 has 10 and hold 2 has 20; transaction 2 spent 30 more. */
beforeEach(async () => {
  account = unique('account');
  await grantAt(db, account, start, { key: 'pay_1', amount: 100, expires: start + 9 * DAY });
  await deductAt(db, account, start, { key: 'deduct', amount: 30 });
  await holdAt(db, account, start, { key: 'hold 1', amount: 10, expiresIn: '5 days' });
  await holdAt(db, account, start, { key: 'hold 2', amount: 20, expiresIn: '5 days' });
});

test('a closed account keeps its balance, of which nothing is available', async () => {
  await overdraftAt(db, account, start, 50);
  expect(await closeAt(closed)).toEqual({ account_id: account, balance: 70, available: 0 });
  expect(await figuresAt(db, account, closed)).toMatchObject({ available: 0, held: 30, debt: 0 });
  const figures = `select r.balance, r.held, r.available, credits.available_for($1, 'search')
    from credits.remaining as r where account_id = $1`;
  expect(await db.one(figures, [account])).toMatchObject({ available: 0, available_for: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('closing an account twice is closing it once', async () => {
  await closeAt(closed);
  await closeAt(closed + DAY);
  const at = `select closed_at = $2 as first from credits_private.accounts where account_id = $1`;
  expect(await db.one(at, [account, moment(closed)])).toEqual({ first: true });
});

test('a hold of a closed account is captured for no more than it holds', async () => {
  await overdraftAt(db, account, start, 50);
  await closeAt(closed);
  const error = await raised(captureAt(db, account, closed, { key: 'over', hold: 1, amount: 11 }));
  expect(error).toMatchObject({
    code: 'PT402',
    constraint: 'available_is_never_negative',
    detail: { hold_id: 1, requested: 11, available: 10 },
  });
  await captureAt(db, account, closed, { key: 'all', hold: 1, amount: 10 });
  expect(await discrepancies(db)).toEqual([]);
});

test('on a closed account captures, releases, refunds and revocations of what was begun go on', async () => {
  await closeAt(closed);
  const capture = { key: 'capture', hold: 1, amount: 7 };
  expect(await captureAt(db, account, closed, capture)).toMatchObject({
    balance: 63,
    available: 0,
  });
  const release = { key: 'release', hold: 2 };
  expect(await releaseAt(db, account, closed, release)).toMatchObject({ amount: 20, available: 0 });
  const refund = { key: 'refund', transaction: 2, amount: 12 };
  expect(await refundAt(db, account, closed, refund)).toMatchObject({ balance: 75, available: 0 });
  const revocation = { key: 're_1', grant: 1, onSpent: 'debt' as const };
  expect(await revokeAt(db, account, closed, revocation)).toMatchObject({
    amount: 100,
    balance: -25,
    available: 0,
  });
  // The refund to an expired grant makes a new one, though none can be granted, and repays debt.
  const rest = { key: 'rest', transaction: 2 };
  expect(await refundAt(db, account, start + 9 * DAY, rest)).toMatchObject({
    amount: 18,
    balance: -7,
    repaid: 18,
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('holds and credits of a closed account expire as before', async () => {
  await closeAt(closed);
  expect(await figuresAt(db, account, start + 5 * DAY - 1)).toMatchObject({ held: 30 });
  expect(await figuresAt(db, account, start + 5 * DAY)).toMatchObject({ held: 0, available: 0 });
  expect(await settleAt(db, account, start + 9 * DAY)).toMatchObject({ balance: 0, available: 0 });
  expect(await entriesOf(db, account, 3)).toEqual([['expiry', -70, 1]]);
  expect(await discrepancies(db)).toEqual([]);
});

test('repeats of calls from before an account was closed are answered', async () => {
  const deduct = () => deductAt(db, account, closed, { key: 'deduct', amount: 30 });
  const first = await deduct();
  await closeAt(closed);
  expect(await deduct()).toEqual(first);
  const grant = { key: 'pay_1', amount: 100, expires: start + 9 * DAY };
  expect(await grantAt(db, account, closed, grant)).toMatchObject({ replayed: true, balance: 100 });
  const hold = { key: 'hold 1', amount: 10, expiresIn: '5 days' };
  expect(await holdAt(db, account, closed, hold)).toMatchObject({ replayed: true, hold_id: 1 });
  const other = await raised(grantAt(db, account, closed, { ...grant, amount: 1 }));
  expect(other).toMatchObject({ code: 'PT409' });
});

test('closing an account cancels its scheduled grants, but for those that are due already', async () => {
  await grantAt(db, account, start, { key: 'due', amount: 5, effective: closed });
  await grantAt(db, account, start, { key: 'never', amount: 6, effective: closed + 1 });
  expect(await closeAt(closed)).toMatchObject({ balance: 75 });
  expect(await settleAt(db, account, closed + DAY)).toMatchObject({ balance: 75 });
  expect(await entriesOf(db, account, 3)).toEqual([['grant', 5, 2]]);
  const state = 'select state from credits.grants where account_id = $1 order by grant_id desc';
  expect((await db.query(state, [account]))[0]).toEqual({ state: 'cancelled' });
  const revocation = { key: 're_1', grant: 3, onSpent: 'debt' as const };
  expect(await revokeAt(db, account, closed + DAY, revocation)).toMatchObject({
    amount: 0,
    balance: 75,
    outstanding: 0,
  });
  expect(await discrepancies(db)).toEqual([]);
});
