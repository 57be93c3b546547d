import type pg from 'pg';
import { describe, expect, test } from 'vitest';
import { type Arguments, call } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { counters } from '../support/limits.ts';
import { expectNoDiscrepancies, type Racer, race, raceFor, times } from './race.ts';

const db = useDatabase();

const grant = (account: string) =>
  call(db, 'grant_credits', { p_account_id: account, p_amount: 1000, p_idempotency_key: 'grant' });
const setLimit = (client: pg.Client, account: string, args: Arguments = {}) =>
  call(client, 'set_limit', { p_account_id: account, p_limit_id: 'limit', p_ceiling: 55, ...args });
const deduct =
  (account: string) =>
  (i: number): Racer =>
  (client) =>
    call(client, 'deduct_credits', {
      p_account_id: account,
      p_amount: 10,
      p_idempotency_key: `deduct ${i}`,
      p_run_id: 'r',
    });

test.each([
  ['commit', 5],
  ['rollback', 20],
] as const)('deductions that wait while a limit is set obey it after %s', async (end, count) => {
  await grant(end);
  const { answers, errors } = await race(
    db,
    times(20, deduct(end)),
    (holder) => setLimit(holder, end),
    end,
  );
  expect(answers).toHaveLength(count);
  expect(errors.map(({ code, detail }) => [code, detail.remaining])).toEqual(
    times(20 - count, () => ['PT429', 5]),
  );
  await expectNoDiscrepancies(db);
});

test.each([
  ['the account', {}],
  ['each run', { p_scope: 'run', p_window: 'total' }],
])('a limit on %s that is set among many deductions counts all of them', async (name, args) => {
  await grant(name);
  const { answers, errors } = await raceFor(db, name, [
    ...times(10, deduct(name)),
    (client) => setLimit(client, name, args),
    ...times(10, (i) => deduct(name)(10 + i)),
  ]);
  const { before } = await db.one(
    'select set_entry_id - 1 as before from credits_private.limits where account_id = $1',
    [name],
  );
  const succeeded = Math.max(before, 5);
  expect(answers).toHaveLength(succeeded + 1); // and the limit's
  expect(errors.map(({ code, detail }) => [code, detail.spent])).toEqual(
    times(20 - succeeded, () => ['PT429', 10 * succeeded]),
  );
  expect((await counters(db, name)).map((row) => row[3])).toEqual([10 * succeeded]);
  await expectNoDiscrepancies(db);
});

test('limits that are set and removed among deductions leave no counter behind', async () => {
  await grant('removed');
  const { errors } = await raceFor(db, 'removed', [
    (client) => setLimit(client, 'removed'),
    ...times(10, deduct('removed')),
    (client) => call(client, 'remove_limit', { p_account_id: 'removed', p_limit_id: 'limit' }),
  ]);
  for (const error of errors) expect(error.code).toBe('PT429');
  await call(db, 'remove_limit', { p_account_id: 'removed', p_limit_id: 'limit' });
  expect(await counters(db, 'removed')).toEqual([]);
  await expectNoDiscrepancies(db);
});

describe.each(['repeatable read', 'serializable'])('at %s', (level) => {
  test.each([
    ['set', {}],
    ['lowered', { p_ceiling: 5 }],
  ])('who waited while a limit was %s gets 40001, and obeys it afterwards', async (what, args) => {
    const account = `${level} ${what}`;
    await grant(account);
    const client = await db.connect();
    if (what === 'lowered') await setLimit(client, account);
    const waiting = async (racer: pg.Client) => {
      await racer.query(`begin isolation level ${level}`);
      await racer.query('select count(*) from credits.remaining'); // the snapshot is taken here
      return deduct(account)(0)(racer);
    };
    const { answers, errors } = await race(db, [waiting], async (holder) => {
      await setLimit(holder, account, { p_ceiling: 5, ...args });
    });
    expect([answers, errors.map((error) => error.code)]).toEqual([[], ['40001']]);
    expect(await raised(waiting(client))).toMatchObject({ code: 'PT429', detail: { ceiling: 5 } });
    await client.end();
    await expectNoDiscrepancies(db);
  });
});
