import { expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  overdraftAt,
  refundAt,
  releaseAt,
  revokeAt,
  settleAt,
} from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');

/** 10 of a grant are held while all else is spent, and 20 are owed. */
async function indebtedWithHold(account: string): Promise<void> {
  await grantAt(db, account, start, { key: 'grant', amount: 10 });
  await overdraftAt(db, account, start, 50);
  await holdAt(db, account, start, { key: 'hold', amount: 10, expiresIn: '1 day' });
  await deductAt(db, account, start, { key: 'deduct', amount: 20 });
}

test('credit that a release frees repays debt', async () => {
  await indebtedWithHold('released');
  expect(await figuresAt(db, 'released', start)).toMatchObject({ available: 30, debt: 20 });
  const release = { key: 'release', hold: 1 };
  expect(await releaseAt(db, 'released', start, release)).toMatchObject({
    amount: 10,
    balance: -10,
    available: 40,
  });
  expect(await entriesOf(db, 'released', 3)).toEqual([
    ['repay', -10, 1],
    ['repay', 10, null],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('credit that the expiry of a hold, or a capture of less, frees repays debt', async () => {
  for (const account of ['hold expired', 'captured']) await indebtedWithHold(account);
  expect(await figuresAt(db, 'hold expired', start + DAY)).toMatchObject({
    available: 40,
    debt: 10,
  });
  await settleAt(db, 'hold expired', start + DAY);
  const capture = { key: 'capture', hold: 1, amount: 4 };
  expect(await captureAt(db, 'captured', start, capture)).toMatchObject({
    balance: -14,
    available: 36,
  });
  expect(await entriesOf(db, 'hold expired', 3)).toEqual([
    ['repay', -10, 1],
    ['repay', 10, null],
  ]);
  expect(await entriesOf(db, 'captured', 3)).toEqual([
    ['capture', -4, 1],
    ['repay', -6, 1],
    ['repay', 6, null],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('overdraft that was held and is captured beside free credit is repaid by it at once', async () => {
  await overdraftAt(db, await granted('beside', 1), start, 50);
  await holdAt(db, 'beside', start, { key: 'hold', amount: 31 });
  // Nothing is owed as long as the hold is not captured, so the grant is free.
  expect(await grantAt(db, 'beside', start, { key: 'free', amount: 12 })).toMatchObject({
    available: 32,
    repaid: 0,
  });
  const part = { key: 'part', hold: 1, amount: 11, final: false };
  expect(await captureAt(db, 'beside', start, part)).toMatchObject({ available: 32, held: 20 });
  expect(await captureAt(db, 'beside', start, { key: 'rest', hold: 1, amount: 20 })).toMatchObject({
    balance: -18,
    available: 32,
  });
  expect(await entriesOf(db, 'beside', 3)).toEqual([
    ['capture', -1, 1],
    ['capture', -10, null],
    ['repay', -10, 2],
    ['repay', 10, null],
    ['capture', -20, null],
    ['repay', -2, 2],
    ['repay', 2, null],
  ]);
  expect(await figuresAt(db, 'beside', start)).toMatchObject({ available: 32, held: 0, debt: 18 });
  expect(await discrepancies(db)).toEqual([]);
});

const granted = async (account: string, amount: number): Promise<string> => {
  await grantAt(db, account, start, { key: 'grant', amount });
  return account;
};

test('a refund to a grant, or to a new one if that has expired, repays debt and says how much', async () => {
  for (const [account, at] of [
    ['refunded', start],
    ['re-granted', start + 40 * DAY],
  ] as const) {
    await grantAt(db, account, start, { key: 'grant', amount: 10, expires: start + 30 * DAY });
    await overdraftAt(db, account, start, 50);
    await deductAt(db, account, start, { key: 'covered', amount: 10 });
    await deductAt(db, account, start, { key: 'owed', amount: 30 });
    const refund = { key: 'refund', transaction: 2 };
    const answer = await refundAt(db, account, at, refund);
    expect(answer).toMatchObject({ amount: 10, balance: -20, available: 30, repaid: 10 });
    expect(await refundAt(db, account, at, refund)).toEqual({ ...answer, replayed: true });
  }
  expect(await entriesOf(db, 're-granted', 4)).toEqual([
    ['refund', 10, 2],
    ['repay', -10, 2],
    ['repay', 10, null],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a debt that a revocation makes is repaid by what is free, in burn-down order', async () => {
  await grantAt(db, 'revoked', start, { key: 'bought', amount: 30, priority: 1 });
  await deductAt(db, 'revoked', start, { key: 'deduct', amount: 30 });
  await grantAt(db, 'revoked', start, { key: 'late', amount: 50, priority: 9 });
  await grantAt(db, 'revoked', start, { key: 'early', amount: 20, priority: 2 });
  const revocation = { key: 'revoke', grant: 1, onSpent: 'debt' as const };
  expect(await revokeAt(db, 'revoked', start, revocation)).toMatchObject({
    amount: 30,
    balance: 40,
    available: 40,
  });
  expect(await entriesOf(db, 'revoked', 5)).toEqual([
    ['revocation', -30, null],
    ['repay', -20, 3],
    ['repay', 20, null],
    ['repay', -10, 2],
    ['repay', 10, null],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});
