import { expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  overdraftAt,
  revokeAt,
} from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything, figuresAt } from '../../support/ledger.ts';
import { us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');
const largest = Number.MAX_SAFE_INTEGER; // 2^53 - 1

test('a revocation makes debt of up to 2^53 - 1, and not one credit more', async () => {
  const scope = { operations: ['search'] }; // so that it repays nothing
  await grantAt(db, 'most', start, { key: 'pay_1', amount: largest });
  await deductAt(db, 'most', start, { key: 'all', amount: largest });
  await grantAt(db, 'most', start, { key: 'pay_2', amount: 5, ...scope });
  await deductAt(db, 'most', start, { key: 'search', amount: 5, operation: 'search' });
  await grantAt(db, 'most', start, { key: 'pay_3', amount: 9, ...scope });
  await revokeAt(db, 'most', start, { key: 're_1', grant: 1, onSpent: 'debt' });
  expect(await figuresAt(db, 'most', start)).toMatchObject({ debt: largest, scoped: 9 });
  const before = await everything(db);
  const more = { key: 're_2', grant: 2, amount: 1, onSpent: 'debt' as const };
  expect(await raised(revokeAt(db, 'most', start, more))).toMatchObject({
    code: '22023',
    detail: { account_id: 'most', argument: 'p_amount' },
  });
  expect(await everything(db)).toBe(before);
  const clamp = await revokeAt(db, 'most', start, { key: 're_2', grant: 2 });
  expect(clamp).toMatchObject({ amount: 0, outstanding: 5 });
  expect(await discrepancies(db)).toEqual([]);
});

test("a revocation's debt leaves room for the overdraft that a hold has reserved", async () => {
  await grantAt(db, 'held', start, { key: 'pay', amount: 100 });
  await overdraftAt(db, 'held', start, largest);
  await deductAt(db, 'held', start, { key: 'all', amount: 100 });
  const hold = { key: 'hold', amount: largest - 60, operation: 'another' };
  await holdAt(db, 'held', start, hold);
  const revocation = (amount: number) =>
    revokeAt(db, 'held', start, { key: `re ${amount}`, grant: 1, amount, onSpent: 'debt' });
  expect(await raised(revocation(61))).toMatchObject({ code: '22023' });
  expect(await revocation(60)).toMatchObject({ balance: -60 });
  const capture = { key: 'capture', hold: 1, amount: largest - 60 };
  expect(await captureAt(db, 'held', start, capture)).toMatchObject({ balance: -largest });
});
