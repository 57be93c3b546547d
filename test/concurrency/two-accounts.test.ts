import type pg from 'pg';
import { expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, type Racer, raceFor, times } from './race.ts';

const db = useDatabase();

const granted = (account: string) =>
  call(db, 'grant_credits', { p_account_id: account, p_amount: 1000, p_idempotency_key: 'grant' });

/** A transaction that deducts from some accounts, in this order. */
const deductFrom =
  (accounts: string[], key: string): Racer =>
  async (client: pg.Client) => {
    try {
      await client.query('begin');
      for (const account of accounts) {
        await call(client, 'deduct_credits', {
          p_account_id: account,
          p_amount: 10,
          p_idempotency_key: key,
        });
      }
      await client.query('commit');
    } catch (error) {
      await client.query('rollback');
      throw error;
    }
  };

test('many transactions over two or three accounts, in ascending order, never deadlock', async () => {
  const accounts = ['a', 'b', 'c'];
  for (const account of accounts) await granted(account);
  const subsets = [
    ['a', 'b'],
    ['a', 'c'],
    ['a', 'b', 'c'],
  ];
  const racers = times(30, (i) => deductFrom(subsets[i % 3] ?? [], `both ${i}`));
  const { errors } = await raceFor(db, 'a', [
    ...racers,
    ...times(5, (i) => deductFrom(['a'], `one ${i}`)),
  ]);
  expect(errors).toEqual([]);
  const rows = await db.query(
    `select account_id, balance from credits.remaining where account_id = any ($1)
     order by account_id`,
    [accounts],
  );
  expect(rows.map((row) => row.balance)).toEqual([650, 800, 800]);
  await expectNoDiscrepancies(db);
});

test('a deadlock of transactions in opposite order is 40P01, and one of the two takes effect', async () => {
  await granted('x');
  await granted('y');
  const first = await db.connect();
  const second = await db.connect();
  const deduct = (client: pg.Client, account: string, key: string) =>
    call(client, 'deduct_credits', {
      p_account_id: account,
      p_amount: 10,
      p_idempotency_key: key,
    });
  await Promise.all([first.query('begin'), second.query('begin')]);
  await deduct(first, 'x', 'first');
  await deduct(second, 'y', 'second');
  const ends = [deduct(first, 'y', 'first'), deduct(second, 'x', 'second')];
  const results = await Promise.allSettled(ends);
  await Promise.all([first.query('commit'), second.query('commit')]);
  const codes = results.map((result) => result.status === 'rejected' && result.reason.code);
  expect(codes.sort()).toEqual(['40P01', false]);
  expect(
    await db.query(`select balance from credits.remaining where account_id in ('x', 'y')`),
  ).toEqual([{ balance: 990 }, { balance: 990 }]);
  await expectNoDiscrepancies(db);
});
