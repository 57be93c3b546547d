import { beforeEach, describe, expect, test } from 'vitest';
import { type Deduction, deductAt, type Limit, limitAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { counters, expectPassed, type Left, named, openAt } from '../../support/limits.ts';
import { us } from '../../support/time.ts';

const db = useDatabase();
const now = us('2024-05-10T12:00:00Z');

let account: string;
beforeEach(async () => {
  account = unique('account');
  await openAt(db, account, now);
});

const limit = (set: Limit) => limitAt(db, account, now, set);
const deduct = (amount: number, more: Partial<Deduction> = {}) =>
  deductAt(db, account, now, { key: unique(), amount, ...more });
const refused = (set: Limit, left: Left, more: Partial<Deduction> = {}) =>
  expectPassed(deduct(left.requested, more), account, set, left);

test('a hard limit lets its ceiling be spent, and not one credit more', async () => {
  const set: Limit = { id: 'hard', ceiling: 100 };
  expect(await limit(set)).toEqual({
    limit_id: 'hard',
    scope: 'account',
    scope_id: null,
    limit_window: 'period',
    ceiling: 100,
    overage: 0,
  });
  await refused(set, { spent: 0, remaining: 100, requested: 101 });
  expect(await deduct(60)).toMatchObject({ amount: 60, exceeded_limits: null });
  await refused(set, { spent: 60, remaining: 40, requested: 41 });
  expect(await deduct(40)).toMatchObject({ amount: 40, exceeded_limits: null });
  await refused(set, { spent: 100, remaining: 0, requested: 1 });
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a soft limit can be crossed by its overage, and each call that leaves it behind says so', async () => {
  const set: Limit = { id: 'soft', ceiling: 100, overage: 20 };
  await limit(set);
  await limit({ id: 'far', ceiling: 1000 });
  expect(await deduct(100)).toMatchObject({ exceeded_limits: null });
  const crossing = { key: 'crossing', amount: 5 };
  const first = await deductAt(db, account, now, crossing);
  expect(first).toMatchObject({ replayed: false, exceeded_limits: ['soft'] });
  await refused(set, { spent: 105, remaining: 15, requested: 16 });
  expect(await deduct(15)).toMatchObject({ exceeded_limits: ['soft'] });
  await refused(set, { spent: 120, remaining: 0, requested: 1 });
  expect(await deductAt(db, account, now, crossing)).toEqual({ ...first, replayed: true });
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a ceiling of 0 stops all, and with an overage all of it is beyond', async () => {
  await limit({ id: 'stop', ceiling: 0 });
  await refused({ id: 'stop', ceiling: 0 }, { spent: 0, remaining: 0, requested: 1 });
  await limit({ id: 'stop', ceiling: 0, overage: 3 });
  expect(await deduct(3)).toMatchObject({ exceeded_limits: ['stop'] });
  const soft = { id: 'stop', ceiling: 0, overage: 3 };
  await refused(soft, { spent: 3, remaining: 0, requested: 1 });
});

const scopes = ['api_key', 'operation', 'run'] as const;
describe.each(scopes)('scope %s', (scope) => {
  test('a limit with a scope id counts that one, and stops no other', async () => {
    const set: Limit = { id: 'one', ceiling: 10, scope, scopeId: 'mine' };
    expect(await limit(set)).toMatchObject({ scope, scope_id: 'mine' });
    await deduct(500);
    await deduct(500, named(scope, 'other'));
    await deduct(10, named(scope, 'mine'));
    const left = { spent: 10, remaining: 0, requested: 1, scope_id: 'mine' };
    await refused(set, left, named(scope, 'mine'));
    await deduct(500, named(scope, 'other'));
    expect(await counters(db, account)).toEqual([['one', '2024-05-01', 'mine', 10]]);
    expect(await discrepancies(db, account)).toEqual([]);
  });

  test('a limit without a scope id counts each id for itself, and calls that name none as one more', async () => {
    const set: Limit = { id: 'each', ceiling: 10, scope };
    await limit(set);
    await deduct(3);
    await refused(set, { spent: 3, remaining: 7, requested: 8 });
    await deduct(10, named(scope, 'a'));
    await deduct(4, named(scope, 'b'));
    await refused(set, { spent: 10, remaining: 0, requested: 1, scope_id: 'a' }, named(scope, 'a'));
    await refused(set, { spent: 4, remaining: 6, requested: 7, scope_id: 'b' }, named(scope, 'b'));
    await refused(
      set,
      { spent: 0, remaining: 10, requested: 11, scope_id: 'c' },
      named(scope, 'c'),
    );
    expect(await counters(db, account)).toEqual([
      ['each', '2024-05-01', '', 3],
      ['each', '2024-05-01', 'a', 10],
      ['each', '2024-05-01', 'b', 4],
    ]);
    expect(await discrepancies(db, account)).toEqual([]);
  });
});

test('a call falls under every limit that it matches, and is refused by the one that leaves least', async () => {
  const key: Limit = { id: 'a key', ceiling: 50, scope: 'api_key' };
  const run: Limit = { id: 'b run', ceiling: 20, scope: 'run', window: 'total' };
  const all: Limit = { id: 'c all', ceiling: 20, window: 'day' };
  for (const set of [key, run, all]) await limit(set);
  const ids = { apiKey: 'k', run: 'r' };
  await deduct(5, { apiKey: 'k' });
  // a: 45, b: 20, c: 15 are left.
  await refused(all, { spent: 5, remaining: 15, requested: 60 }, ids);
  await deduct(10, ids);
  // a: 35, b: 10, c: 5.
  await limit({ ...all, ceiling: 25 });
  // b and c leave 10 each: the first by name.
  await refused(run, { spent: 10, remaining: 10, requested: 60, scope_id: 'r' }, ids);
  await refused({ ...all, ceiling: 25 }, { spent: 15, remaining: 10, requested: 11 });
  await deduct(10, ids);
  expect(await counters(db, account)).toEqual([
    ['a key', '2024-05-01', 'k', 25],
    ['b run', '-infinity', '', 5],
    ['b run', '-infinity', 'r', 20],
    ['c all', '2024-05-10', '', 25],
  ]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('of several soft limits, a call names those that it leaves behind', async () => {
  await limit({ id: 'b', ceiling: 10, overage: 90 });
  await limit({ id: 'a', ceiling: 10, overage: 90, scope: 'api_key' });
  await limit({ id: 'c', ceiling: 11, overage: 89, window: 'total' });
  expect(await deduct(11)).toMatchObject({ exceeded_limits: ['a', 'b'] }); // a: of no key
  expect(await deduct(11, { apiKey: 'k' })).toMatchObject({ exceeded_limits: ['a', 'b', 'c'] });
});

test('a limit and the balance running out together: the limit is named, with exact figures', async () => {
  const poor = unique('poor');
  await openAt(db, poor, now, { credits: 30 });
  const set: Limit = { id: 'same', ceiling: 30 };
  await limitAt(db, poor, now, set);
  const of = (amount: number) => deductAt(db, poor, now, { key: unique(), amount });
  await expectPassed(of(31), poor, set, { spent: 0, remaining: 30, requested: 31 });
  await of(30);
  await expectPassed(of(1), poor, set, { spent: 30, remaining: 0, requested: 1 });
  await limitAt(db, poor, now, { ...set, ceiling: 31 });
  expect(await raised(of(1))).toMatchObject({ code: 'PT402', detail: { available: 0 } });
});

test('a limit concerns one account only', async () => {
  await limit({ id: 'mine', ceiling: 1 });
  const other = unique('other');
  await openAt(db, other, now);
  expect(await deductAt(db, other, now, { key: 'call', amount: 500 })).toMatchObject({
    amount: 500,
  });
  expect(await counters(db, other)).toEqual([]);
});
