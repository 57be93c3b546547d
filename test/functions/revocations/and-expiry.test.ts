import { expect, test } from 'vitest';
import { call, deductAt, grantAt, holdAt, revokeAt, settleAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');

/** Grant 1 of 100, of which `spent` are, and 7 of another. */
async function granted(account: string, spent: number): Promise<void> {
  await grantAt(db, account, start, { key: 'pay_1', amount: 100, expires: start + 30 * DAY });
  await deductAt(db, account, start, { key: 'deduct', amount: spent });
  await grantAt(db, account, start, { key: 'other', amount: 7 });
}
const revoke = (account: string, revocation: Omit<Parameters<typeof revokeAt>[3], 'grant'>) =>
  revokeAt(db, account, start, { grant: 1, ...revocation });

test('a revocation makes no debt of what has expired, and takes nothing in its place later', async () => {
  await granted('expired', 60);
  const late = start + 31 * DAY; // 40 of the grant have expired
  const revocation = { key: 're_1', grant: 1, onSpent: 'debt' as const };
  expect(await revokeAt(db, 'expired', late, revocation)).toMatchObject({
    amount: 60,
    balance: -53,
    outstanding: 0,
  });
  const clamp = await revokeAt(db, 'expired', late, { key: 're_2', grant: 1 });
  expect(clamp).toMatchObject({ amount: 0, outstanding: 0 });
  const refund = { p_account_id: 'expired', p_transaction_id: 2, p_idempotency_key: 'refund' };
  expect(await call(db, 'refund_credits', refund)).toMatchObject({
    amount: 60,
    balance: 7,
    available: 7,
    repaid: 53,
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('a revocation of a grant that has expired unused takes nothing, and nothing is owed', async () => {
  await grantAt(db, 'unused', start, { key: 'pay_1', amount: 100, expires: start + DAY });
  for (const onSpent of ['clamp', 'debt'] as const) {
    const revocation = { key: onSpent, grant: 1, onSpent };
    expect(await revokeAt(db, 'unused', start + DAY, revocation)).toMatchObject({
      transaction_id: null,
      amount: 0,
      balance: 0,
      outstanding: 0,
    });
  }
  expect(await entriesOf(db, 'unused', 2)).toEqual([['expiry', -100, 1]]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a revocation takes no credit from a hold: with debt it is owed until the hold ends', async () => {
  for (const [onSpent, amount, owed, late] of [
    ['clamp', 70, 0, ['revocation', -30, 1]],
    ['debt', 100, 30, ['repay', -30, 1]],
  ] as const) {
    const account = `held, ${onSpent}`;
    await grantAt(db, account, start, { key: 'pay_1', amount: 100 });
    await holdAt(db, account, start, { key: 'hold', amount: 30, expiresIn: '1 day' });
    const answer = await revoke(account, { key: 're_1', onSpent });
    expect(answer).toMatchObject({ amount, outstanding: 100 - amount, available: 0 });
    expect(await figuresAt(db, account, start)).toMatchObject({ held: 30, debt: owed });
    const released = { available: 0, scoped: 0, held: 0, debt: 0 };
    expect(await figuresAt(db, account, start + DAY)).toEqual(released);
    expect(await settleAt(db, account, start + DAY)).toMatchObject({ balance: 0, available: 0 });
    expect(await figuresAt(db, account, start + DAY)).toEqual(released);
    expect(await entriesOf(db, account)).toContainEqual(late);
  }
  expect(await discrepancies(db)).toEqual([]);
});
