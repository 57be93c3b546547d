import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { expect, onTestFailed, test } from 'vitest';
import { readParties } from '../../../scripts/adoption/app/parties.ts';
import { compare } from '../../../scripts/adoption/compare/compare.ts';
import { objectionsTo } from '../../../scripts/adoption/cutover/gate.ts';
import { retryFailures } from '../../../scripts/adoption/shadow/retry.ts';
import { expectNoDiscrepancies, times } from '../../concurrency/race.ts';
import type { Database } from '../../support/database.ts';
import { randomNumbers, seedOf } from '../../support/random.ts';
import { adoptAll } from '../app.ts';
import { adopt, createApp, install, mapping, mirrored, write } from './app.ts';

const users = 8;
const writers = 6;
const seed = seedOf();

/**
 * One of the app's: some writes, for one user or two, parts of it undone, now and then all of it.
 */
async function legacyTransaction(
  app: pg.Client,
  { below, pick }: ReturnType<typeof randomNumbers>,
) {
  const user = () => `u${1 + below(users)}`;
  const change = pick<(of: string) => Promise<unknown>>(
    (of) => write(app, of, pick(-1, -7, -400, 30)),
    (of) => write(app, of, pick(-1, -7, -400, 30)),
    (of) =>
      app.query(
        `update public.credit_transactions set amount = amount - 1 where id =
         (select max(id) from public.credit_transactions where user_id = $1)`,
        [of],
      ),
    (of) =>
      app.query(
        `delete from public.credit_transactions where id =
         (select max(id) from public.credit_transactions where user_id = $1 and amount < 0)`,
        [of],
      ),
  );
  await app.query(
    `begin isolation level ${pick('read committed', 'read committed', 'repeatable read')}`,
  );
  await change(user());
  if (below(3) === 0) {
    await app.query('savepoint s');
    await change(user());
    await app.query(pick('rollback to savepoint s', 'release savepoint s'));
  }
  await app.query(pick('commit', 'commit', 'commit', 'rollback'));
}

/** Until it is told to stop. */
async function legacyWriter(db: Database, n: number, state: { stop: boolean }): Promise<void> {
  const app = await db.connect();
  const random = randomNumbers(seed + n);
  while (!state.stop) {
    try {
      await legacyTransaction(app, random);
    } catch (error) {
      await app.query('rollback');
      // Conflicts between the app's own rows, which occur without the shadow, too.
      if (!['40001', '40P01'].includes((error as pg.DatabaseError).code ?? '')) throw error;
    }
  }
}

test('many write while accounts are adopted one by one: nothing is lost, nothing is there twice', async () => {
  onTestFailed(() => console.log(`PG_CREDITS_TEST_SEED=${seed}`));
  const db = await createApp(users);
  try {
    const state = { stop: false };
    const running = Promise.all(times(writers, (n) => legacyWriter(db, n, state)));
    running.catch(() => {}); // looked at below
    await install(db);
    for (const n of times(users / 2, (i) => i + 1)) await adopt(db, `u${n}`);
    await adoptAll(db, { book: 'opening', trust: 'transactions' }, { mapping });
    const enough = (await mirrored(db)) + 50;
    while ((await mirrored(db)) < enough) await Promise.race([running, sleep(5)]);
    state.stop = true;
    await running;

    const client = await db.connect();
    const parties = await readParties(client);
    expect((await retryFailures(client, mapping, parties)).left).toEqual([]);
    const sample = await compare(client, mapping, parties);
    expect(objectionsTo(sample)).toEqual([]);
    expect(sample).toMatchObject({ accounts: BigInt(users), agree: BigInt(users) });
    await expectNoDiscrepancies(db);
  } finally {
    await db.drop();
  }
});
