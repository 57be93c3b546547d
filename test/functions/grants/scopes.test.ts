import { beforeEach, expect, test } from 'vitest';
import { call, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

const db = useDatabase();

let account: string;
const grant = (amount: number, operations: string[] | null) =>
  call(db, 'grant_credits', {
    p_account_id: account,
    p_amount: amount,
    p_idempotency_key: unique('grant'),
    p_operations: operations,
  });
const deduct = (amount: number, operation: string | null) =>
  call(db, 'deduct_credits', {
    p_account_id: account,
    p_amount: amount,
    p_idempotency_key: unique('deduct'),
    p_operation: operation,
  });
const availableFor = async (operation: string | null) =>
  (await call(db, 'available_for', { p_account_id: account, p_operation: operation }))
    .available_for;
const remaining = () =>
  db.one('select balance, available, scoped from credits.remaining where account_id = $1', [
    account,
  ]);

beforeEach(async () => {
  account = unique('account');
  await grant(50, ['search', 'embed']);
  await grant(7, ['embed']);
  await grant(20, null);
});

test('what only certain operations may use is scoped, and not available', async () => {
  expect(await remaining()).toEqual({ balance: 77, available: 20, scoped: 57 });
  expect(await grant(1, ['search'])).toMatchObject({ balance: 78, available: 20 });
});

test('available_for says what is available to one operation', async () => {
  expect(await availableFor(null)).toBe(20);
  expect(await availableFor('search')).toBe(70);
  expect(await availableFor('embed')).toBe(77);
  expect(await availableFor('chat')).toBe(20);
  expect(await availableFor('Search')).toBe(20);
  expect(await call(db, 'available_for', { p_account_id: account })).toEqual({ available_for: 20 });
});

test('exactly what available_for says can be deducted for that operation', async () => {
  for (const operation of [null, 'chat', 'search', 'embed']) {
    const available = await availableFor(operation);
    const error = await raised(deduct(available + 1, operation));
    expect(error).toMatchObject({ code: 'PT402', detail: { available, requested: available + 1 } });
    expect(await deduct(available, operation)).toMatchObject({ amount: available });
    await grant(20, null);
  }
  expect(await discrepancies(db)).toEqual([]);
});

test("an operation outside of a grant's scope does not draw on it", async () => {
  await deduct(20, 'chat');
  const error = await raised(deduct(1, 'chat'));
  expect(error).toMatchObject({ code: 'PT402', detail: { available: 0, operation: 'chat' } });
  expect(await remaining()).toEqual({ balance: 57, available: 0, scoped: 57 });
});

test('a deduction without an operation draws on no scoped grant', async () => {
  expect(await deduct(20, null)).toMatchObject({ balance: 57, available: 0 });
  const error = await raised(deduct(1, null));
  expect(error).toMatchObject({ code: 'PT402', detail: { available: 0, requested: 1 } });
  expect(error.detail).not.toHaveProperty('operation');
});

test('a deduction within a scope draws on the scoped grant first, and then on the others', async () => {
  expect(await deduct(49, 'search')).toMatchObject({ balance: 28, available: 20 });
  expect(await deduct(10, 'search')).toMatchObject({ balance: 18, available: 11 });
  expect(await remaining()).toEqual({ balance: 18, available: 11, scoped: 7 });
  expect(await discrepancies(db)).toEqual([]);
});

test("a grant's scope is a set: repeated operations count once, in any order", async () => {
  const { grant_id } = await grant(5, ['z', 'a', 'z', 'B']);
  expect(
    await db.one('select operations from credits.grants where account_id = $1 and grant_id = $2', [
      account,
      grant_id,
    ]),
  ).toEqual({ operations: ['B', 'a', 'z'] });
});
