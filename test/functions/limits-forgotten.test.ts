import { expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import {
  captureAt,
  deductAt,
  discrepancies,
  holdAt,
  type Limit,
  limitAt,
  moment,
  refundAt,
  us,
} from '../support/ledger.ts';
import { counters, expectPassed, openAt } from './limits.ts';

const db = useDatabase();
const now = us('2024-05-10T12:00:00Z');

const forget = (account: string) =>
  db.query('select credits_private.forget_account_at($1, $2)', [account, moment(now)]);

test('forgetting a person leaves what limits have counted, under the pseudonyms of the ledger', async () => {
  const account = 'forgotten';
  await openAt(db, account, now);
  const limits: Limit[] = [
    { id: 'a each key', ceiling: 100, scope: 'api_key', window: 'day' },
    { id: 'b one key', ceiling: 100, scope: 'api_key', scopeId: 'ann' },
    { id: 'c unused key', ceiling: 100, scope: 'api_key', scopeId: 'eve' },
    { id: 'd each run', ceiling: 20, scope: 'run', window: 'total' },
    { id: 'e operation', ceiling: 100, scope: 'operation' },
    { id: 'f account', ceiling: 100 },
  ];
  for (const limit of limits) await limitAt(db, account, now, limit);
  const ids = { apiKey: 'ann', operation: 'search', run: 'of ann' };
  const spent = { key: 'call', amount: 10, ...ids };
  const { transaction_id } = await deductAt(db, account, now, spent);
  await deductAt(db, account, now, { key: 'other', amount: 2, apiKey: 'bob', run: 'of bob' });
  const { hold_id } = await holdAt(db, account, now, { key: 'hold', amount: 5, ...ids });
  const before = await counters(db, account);

  await forget(account);
  const pseudonyms: Record<string, string> = {
    ann: 'forgotten api key 1',
    bob: 'forgotten api key 2',
    'of ann': 'forgotten run 1',
    'of bob': 'forgotten run 2',
  };
  const after = await counters(db, account);
  expect(after).toEqual(
    before.map(([limit, window, id, amount]) => [limit, window, pseudonyms[id] ?? id, amount]),
  );
  expect(
    await db.query(
      `select limit_id, scope_id from credits_private.limits
       where account_id = $1 and scope_id is not null order by limit_id`,
      [account],
    ),
  ).toEqual([
    { limit_id: 'b one key', scope_id: 'forgotten api key 1' },
    { limit_id: 'c unused key', scope_id: 'forgotten api key 3' },
  ]);
  expect(await discrepancies(db, account)).toEqual([]);

  // What was begun goes on, and counts where it counted.
  const capture = (key: string, amount: number) =>
    captureAt(db, account, now, { key, hold: hold_id, amount });
  await expectPassed(capture('too much', 11), account, limits[3] as Limit, {
    spent: 10,
    remaining: 10,
    requested: 11,
    scope_id: 'forgotten run 1',
  });
  await capture('capture', 7);
  await refundAt(db, account, now, { key: 'refund', transaction: transaction_id, amount: 4 });
  expect(await counters(db, account)).toEqual([
    ['a each key', '2024-05-10', 'forgotten api key 1', 13],
    ['a each key', '2024-05-10', 'forgotten api key 2', 2],
    ['b one key', '2024-05-01', 'forgotten api key 1', 13],
    ['d each run', '-infinity', 'forgotten run 1', 13],
    ['d each run', '-infinity', 'forgotten run 2', 2],
    ['e operation', '2024-05-01', 'search', 13],
    ['f account', '2024-05-01', '', 15],
  ]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('forgetting twice is forgetting once, and what came since gets pseudonyms of its own', async () => {
  const account = 'twice';
  await openAt(db, account, now);
  await limitAt(db, account, now, { id: 'run', ceiling: 10, scope: 'run' });
  const deduct = (key: string, amount: number) =>
    deductAt(db, account, now, { key, amount, run: 'r' });
  await deduct('first', 10);
  await forget(account);
  const once = await counters(db, account);
  await forget(account);
  expect(await counters(db, account)).toEqual(once);
  await deduct('second', 3);
  await forget(account);
  expect(await counters(db, account)).toEqual([
    ['run', '2024-05-01', 'forgotten run 1', 10],
    ['run', '2024-05-01', 'forgotten run 2', 3],
  ]);
  // A limit that is set now counts the same.
  await limitAt(db, account, now, { id: 'same', ceiling: 10, scope: 'run' });
  expect((await counters(db, account)).slice(2).map((row) => row.slice(1))).toEqual([
    ['2024-05-01', 'forgotten run 1', 10],
    ['2024-05-01', 'forgotten run 2', 3],
  ]);
  expect(await discrepancies(db, account)).toEqual([]);
});
