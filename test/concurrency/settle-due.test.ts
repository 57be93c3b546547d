import { beforeAll, expect, test } from 'vitest';
import { call, callAt } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, lockRow, race, times } from './race.ts';

const db = useDatabase();

/** Accounts whose only credits expired long ago, and of which nobody has heard since. */
const openDue = (prefix: string, count: number) =>
  db.query(
    `select credits_private.grant_credits_at($1 || i, 10, 'grant', 'purchase', 100, '2024-01-20',
       null, null, null, null, '{}', '2024-01-10') from generate_series(1, $2) i`,
    [prefix, count],
  );

const settled = () =>
  db.query(
    `select account_id, count(*) as expiries from credits.entries where kind = 'expiry'
     group by account_id order by account_id`,
  );

beforeAll(() => openDue('due ', 200));

test('eight that settle at once share two hundred due accounts, and skip locked ones', async () => {
  const holder = await db.connect();
  await holder.query('begin');
  for (const account of ['due 1', 'due 100', 'due 200']) await holder.query(lockRow, [account]);

  // They meet at a lock of the test's own, and start from there together.
  const meeting = `select pg_advisory_xact_lock(1)`;
  const { answers, errors } = await race(
    db,
    times(8, () => async (client) => {
      await client.query('begin');
      await client.query(meeting);
      await client.query('commit');
      // Like a worker: commit and loop until nothing is left to do.
      let [total, last] = [0, 1];
      while (last > 0) {
        last = (await call(client, 'settle_due', { p_max_accounts: 10 })).settle_due;
        total += last;
      }
      return total;
    }),
    (meetingHolder) => meetingHolder.query(meeting),
  );
  expect(errors).toEqual([]);
  // All of them have ended although the holder still holds its three accounts.
  expect(answers.reduce((sum, count) => sum + count, 0)).toBe(197);
  expect((await settled()).map((row) => row.expiries)).toEqual(times(197, () => 1));

  await holder.query('commit');
  expect(await call(db, 'settle_due', {})).toEqual({ settle_due: 3 });
  expect(await call(db, 'settle_due', {})).toEqual({ settle_due: 0 });
  expect((await settled()).map((row) => row.expiries)).toEqual(times(200, () => 1));
  await expectNoDiscrepancies(db);
});

test('what another has settled, and not yet committed, is skipped, and not settled again', async () => {
  await openDue('again ', 5);
  const first = await db.connect();
  await first.query('begin');
  expect(await call(first, 'settle_due', { p_max_accounts: 3 })).toEqual({ settle_due: 3 });
  expect(await call(db, 'settle_due', {})).toEqual({ settle_due: 2 });
  await first.query('rollback');
  expect(await call(db, 'settle_due', {})).toEqual({ settle_due: 3 });
  expect(await call(db, 'settle_due', {})).toEqual({ settle_due: 0 });
  await expectNoDiscrepancies(db);
});

test('a call that waits for a settlement finds it done', async () => {
  await openDue('waits ', 1);
  const account = { p_account_id: 'waits 1' };
  const { answers } = await race(
    db,
    times(5, () => (client) => call(client, 'settle_account', account)),
    (holder) => callAt(holder, 'settle_due', '2024-03-01', { p_max_accounts: 100 }),
  );
  expect(answers).toEqual(times(5, () => ({ account_id: 'waits 1', balance: 0, available: 0 })));
  await expectNoDiscrepancies(db);
});
