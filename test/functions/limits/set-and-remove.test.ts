import { beforeEach, expect, test } from 'vitest';
import { callAt, deductAt, type Limit, limitAt, refundAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { counters, expectPassed, openAt } from '../../support/limits.ts';
import { moment, us } from '../../support/time.ts';

const db = useDatabase();
const now = us('2024-05-10T12:00:00Z');

let account: string;
beforeEach(async () => {
  account = unique('account');
  await openAt(db, account, now);
});

const limit = (set: Limit) => limitAt(db, account, now, set);
const remove = (id: string) =>
  callAt(db, 'remove_limit', now, { p_account_id: account, p_limit_id: id });
const deduct = (amount: number, more = {}) =>
  deductAt(db, account, now, { key: unique(), amount, ...more });
const hasLimits = async (id = account): Promise<boolean> =>
  (await db.one('select has_limits from credits_private.accounts where account_id = $1', [id]))
    .has_limits;
const limits = () =>
  db.query(
    `select to_jsonb(l) as row from credits_private.limits as l where account_id = $1
     order by limit_id`,
    [account],
  );

test('setting a limit twice is setting it once', async () => {
  const set: Limit = { id: 'one', ceiling: 100, overage: 5, scope: 'run', scopeId: 'r' };
  const first = await limit(set);
  await deduct(40, { run: 'r' });
  const before = [await limits(), await counters(db, account)];
  expect(await limit(set)).toEqual(first);
  expect([await limits(), await counters(db, account)]).toEqual(before);
  expect(before[1]).toEqual([['one', '2024-05-01', 'r', 40]]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('another ceiling or overage takes effect at once, and what was spent stays', async () => {
  await limit({ id: 'one', ceiling: 100 });
  await deduct(60);
  for (const [ceiling, overage, remaining] of [
    [70, 0, 10],
    [50, 0, 0],
    [50, 15, 5],
    [200, 0, 140],
  ] as const) {
    const set = { id: 'one', ceiling, overage };
    expect(await limit(set)).toMatchObject({ ceiling, overage });
    const left = { spent: 60, remaining, requested: remaining + 1 };
    await expectPassed(deduct(remaining + 1), account, set, left);
  }
  await deduct(140);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('another scope, scope id or window counts anew from the ledger', async () => {
  const [a, b] = [
    { apiKey: 'a', run: 'x' },
    { apiKey: 'b', run: 'x' },
  ];
  await deductAt(db, account, us('2024-05-10T00:00Z'), { key: 'first', amount: 1, ...a });
  await deductAt(db, account, us('2024-05-11T00:00Z'), { key: 'second', amount: 2, ...a });
  await deductAt(db, account, us('2024-06-01T00:00Z'), { key: 'third', amount: 4, ...a });
  await deductAt(db, account, us('2024-06-01T00:00Z'), { key: 'fourth', amount: 8, ...b });
  const changes: [Omit<Limit, 'id' | 'ceiling'>, unknown[]][] = [
    [{}, [['2024-06-01', '', 12]]],
    [{ window: 'total' }, [['-infinity', '', 15]]],
    [
      { window: 'total', scope: 'api_key' },
      [
        ['-infinity', 'a', 7],
        ['-infinity', 'b', 8],
      ],
    ],
    [{ window: 'total', scope: 'api_key', scopeId: 'b' }, [['-infinity', 'b', 8]]],
    [{ window: 'total', scope: 'api_key', scopeId: 'a' }, [['-infinity', 'a', 7]]],
    [{ window: 'day', scope: 'run' }, [['2024-06-01', 'x', 12]]],
    [{ window: 'day', scope: 'operation' }, [['2024-06-01', '', 12]]],
  ];
  for (const [change, counted] of changes) {
    await limit({ id: 'one', ceiling: 20, ...change });
    expect((await counters(db, account)).map((row) => row.slice(1))).toEqual(counted);
    expect(await discrepancies(db, account)).toEqual([]);
  }
});

test('removing a limit twice is removing it once, and what it has counted goes with it', async () => {
  await limit({ id: 'one', ceiling: 10, scope: 'run' });
  await deduct(10, { run: 'r' });
  expect(await remove('one')).toEqual({
    limit_id: 'one',
    scope: 'run',
    scope_id: null,
    limit_window: 'period',
    ceiling: 10,
    overage: 0,
  });
  expect(await remove('one')).toEqual({
    limit_id: null,
    scope: null,
    scope_id: null,
    limit_window: null,
    ceiling: null,
    overage: null,
  });
  expect([await limits(), await counters(db, account)]).toEqual([[], []]);
  expect(await deduct(500, { run: 'r' })).toMatchObject({ exceeded_limits: null });
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a limit that is set again counts what was spent without it', async () => {
  const set: Limit = { id: 'one', ceiling: 100 };
  await limit(set);
  const { transaction_id } = await deduct(50);
  await remove('one');
  await deduct(30);
  await refundAt(db, account, now, { key: 'refund', transaction: transaction_id, amount: 20 });
  await limit(set);
  await expectPassed(deduct(41), account, set, { spent: 60, remaining: 40, requested: 41 });
  await deduct(40);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('an account without limits counts nothing for them: never had one, or has one no more', async () => {
  expect(await hasLimits()).toBe(false);
  await deduct(5);
  await remove('none');
  expect(await hasLimits()).toBe(false);
  await limit({ id: 'one', ceiling: 10 });
  await limit({ id: 'two', ceiling: 20 });
  expect(await hasLimits()).toBe(true);
  await remove('one');
  expect(await hasLimits()).toBe(true);
  await expectPassed(
    deduct(16),
    account,
    { id: 'two', ceiling: 20 },
    { spent: 5, remaining: 15, requested: 16 },
  );
  await remove('two');
  expect(await hasLimits()).toBe(false);
  await deduct(500);
  expect(await counters(db, account)).toEqual([]);
});

test('an account has a hundred limits, which can be changed, and not one more', async () => {
  await db.query(
    `select credits_private.set_limit_at($1, 'limit ' || n, n, 'account', null, 'period', 0, $2)
     from generate_series(1, 100) as n`,
    [account, moment(now)],
  );
  const error = await raised(limit({ id: 'another', ceiling: 1 }));
  expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_limit_id' } });
  await limit({ id: 'limit 1', ceiling: 9 });
  await remove('limit 2');
  await limit({ id: 'another', ceiling: 2 });
  expect(await limits()).toHaveLength(100);
  const least = { spent: 0, remaining: 2, requested: 10 };
  await expectPassed(deduct(10), account, { id: 'another', ceiling: 2 }, least);
});
