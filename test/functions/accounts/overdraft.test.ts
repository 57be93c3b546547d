import { expect, test } from 'vitest';
import { call, captureAt, deductAt, grantAt, holdAt, overdraftAt } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');
const largest = Number.MAX_SAFE_INTEGER; // 2^53 - 1

/** An account with a grant of 10 and an overdraft of 50. */
async function overdrawable(account: string): Promise<void> {
  await grantAt(db, account, start, { key: 'grant', amount: 10 });
  await overdraftAt(db, account, start, 50);
}
const refused = (account: string, requested: number, available: number) => ({
  code: 'PT402',
  constraint: 'available_is_never_negative',
  detail: { account_id: account, requested, available, invariant: 'available_is_never_negative' },
});

test('what no grant covers is debt, in an entry without a grant, down to the limit', async () => {
  await overdrawable('limit');
  expect(await figuresAt(db, 'limit', start)).toEqual({
    available: 60,
    scoped: 0,
    held: 0,
    debt: 0,
  });
  const first = { key: 'first', amount: 25, apiKey: 'key a', operation: 'search' };
  expect(await deductAt(db, 'limit', start, first)).toMatchObject({ balance: -15, available: 35 });
  const more = await raised(deductAt(db, 'limit', start, { key: 'more', amount: 36 }));
  expect(more).toMatchObject(refused('limit', 36, 35));
  const rest = { key: 'rest', amount: 35 };
  expect(await deductAt(db, 'limit', start, rest)).toMatchObject({ balance: -50, available: 0 });
  const one = await raised(deductAt(db, 'limit', start, { key: 'one', amount: 1 }));
  expect(one).toMatchObject(refused('limit', 1, 0));
  expect(await entriesOf(db, 'limit', 2)).toEqual([
    ['deduction', -10, 1],
    ['deduction', -15, null],
    ['deduction', -35, null],
  ]);
  expect(
    await db.one(
      `select balance, debt, overdraft_limit, available from credits.remaining
       where account_id = 'limit'`,
    ),
  ).toEqual({ balance: -50, debt: 50, overdraft_limit: 50, available: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('credit of a scope is used first by its operation, and is no help to another', async () => {
  await overdraftAt(db, await opened('scoped'), start, 50);
  const scoped = { key: 'scoped', amount: 10, operations: ['search'] };
  await grantAt(db, 'scoped', start, scoped);
  await deductAt(db, 'scoped', start, { key: 'other', amount: 5, operation: 'other' });
  expect(await figuresAt(db, 'scoped', start)).toMatchObject({
    available: 45,
    scoped: 10,
    debt: 5,
  });
  expect(await figuresAt(db, 'scoped', start, 'search')).toMatchObject({ available: 55 });
  await deductAt(db, 'scoped', start, { key: 'search', amount: 12, operation: 'search' });
  expect(await entriesOf(db, 'scoped', 2)).toEqual([
    ['deduction', -5, null],
    ['deduction', -10, 1],
    ['deduction', -2, null],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

const opened = async (account: string): Promise<string> => {
  await call(db, 'open_account', { p_account_id: account });
  return account;
};

test('an overdraft limit below what is owed takes nothing back, and lets nothing more be spent', async () => {
  await overdrawable('lowered');
  await deductAt(db, 'lowered', start, { key: 'deduct', amount: 40 });
  expect(await overdraftAt(db, 'lowered', start, 20)).toMatchObject({ balance: -30, available: 0 });
  expect(await figuresAt(db, 'lowered', start)).toMatchObject({ available: 0, debt: 30 });
  const one = await raised(deductAt(db, 'lowered', start, { key: 'one', amount: 1 }));
  expect(one).toMatchObject(refused('lowered', 1, 0));
  const granted = await grantAt(db, 'lowered', start, { key: 'part', amount: 15 });
  expect(granted).toMatchObject({ balance: -15, available: 5, repaid: 15 });
  expect(await overdraftAt(db, 'lowered', start, 0)).toMatchObject({ balance: -15, available: 0 });
  expect(await overdraftAt(db, 'lowered', start, 16)).toMatchObject({ balance: -15, available: 1 });
  expect(await overdraftAt(db, 'lowered', start, 16)).toMatchObject({ balance: -15, available: 1 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a hold may reserve overdraft, which nobody else can spend then, and its capture is debt', async () => {
  await overdrawable('held');
  const hold = { key: 'hold', amount: 40 };
  expect(await holdAt(db, 'held', start, hold)).toMatchObject({ balance: 10, available: 20 });
  expect(await figuresAt(db, 'held', start)).toMatchObject({ available: 20, held: 40, debt: 0 });
  const more = await raised(deductAt(db, 'held', start, { key: 'more', amount: 21 }));
  expect(more).toMatchObject(refused('held', 21, 20));
  // The limit is now below what the hold has reserved, which can be captured all the same.
  expect(await overdraftAt(db, 'held', start, 5)).toMatchObject({ available: 0 });
  const capture = { key: 'capture', hold: 1, amount: 30 };
  expect(await captureAt(db, 'held', start, capture)).toMatchObject({
    balance: -20,
    available: 0,
    held: 0,
  });
  expect(await entriesOf(db, 'held', 2)).toEqual([
    ['capture', -10, 1],
    ['capture', -20, null],
  ]);
  expect(await figuresAt(db, 'held', start)).toMatchObject({ available: 0, held: 0, debt: 20 });
  expect(await discrepancies(db)).toEqual([]);
});

test('overdraft that a hold has reserved and lets expire is available at that instant', async () => {
  await overdrawable('expiring');
  await holdAt(db, 'expiring', start, { key: 'hold', amount: 60, expiresIn: '1 day' });
  expect(await figuresAt(db, 'expiring', start + DAY - 1)).toMatchObject({
    available: 0,
    held: 60,
  });
  expect(await figuresAt(db, 'expiring', start + DAY)).toMatchObject({ available: 60, held: 0 });
  await deductAt(db, 'expiring', start + DAY, { key: 'all', amount: 60 });
  expect(await discrepancies(db)).toEqual([]);
});

test('debt goes as far as 2^53 - 1, exactly', async () => {
  await overdraftAt(db, await opened('largest'), start, largest);
  expect(await deductAt(db, 'largest', start, { key: 'all', amount: largest })).toMatchObject({
    balance: -largest,
    available: 0,
  });
  const one = await raised(deductAt(db, 'largest', start, { key: 'one', amount: 1 }));
  expect(one).toMatchObject(refused('largest', 1, 0));
  const granted = await grantAt(db, 'largest', start, { key: 'grant', amount: largest });
  expect(granted).toMatchObject({ balance: 0, available: largest, repaid: largest });
  expect(await discrepancies(db)).toEqual([]);
});
