import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readParties } from '../../../scripts/adoption/app/parties.ts';
import { retryFailures } from '../../../scripts/adoption/shadow/retry.ts';
import { expectNoDiscrepancies, ledger, lockRow, pid } from '../../concurrency/race.ts';
import { type Database, waitUntilBlocked } from '../../support/database.ts';
import { adopt, adoptIn, createApp, failures, insert, install, mapping } from './app.ts';

let db: Database;
beforeAll(async () => {
  db = await createApp(12);
  await install(db);
});
afterAll(() => db.drop());

test("the shadow's trigger gives up a lock before a wait counts as a deadlock", async () => {
  const { waits } = await db.one(
    `select 2 * split_part(f.proconfig[2], '=', 2)::interval = current_setting('deadlock_timeout')::interval as waits
     from pg_proc as f where f.oid = 'credits_adoption.shadow()'::regprocedure`,
  );
  expect(waits).toBe(true);
});

interface Session {
  client: pg.Client;
  pid: number;
}

async function begin(level = 'read committed'): Promise<Session> {
  const client = await db.connect();
  await client.query(`begin isolation level ${level}`);
  return { client, pid: await pid(client) };
}

const blocked = (waiting: Session, by: Session) =>
  waitUntilBlocked(db, waiting.pid, { by: by.pid });

/** How long the trigger waits: long where it must not give up, however busy the machine is. */
const patience = (milliseconds: number) =>
  db.query(`alter function credits_adoption.shadow() set lock_timeout = ${milliseconds}`);

async function retry() {
  const client = await db.connect();
  return retryFailures(client, mapping, await readParties(client));
}

test('adopt waits for a legacy transaction that has written, and reads what it wrote', async () => {
  const [app, adopter] = [await begin(), await begin()];
  await insert(app.client, 'u1', -7);
  const adopting = adoptIn(adopter.client, 'u1');
  await blocked(adopter, app);
  await insert(app.client, 'u1', -8);
  await app.client.query('commit');
  await adopting;
  await adopter.client.query('commit');
  expect(await ledger(db, 'u1')).toEqual(['grant 955']);
  expect(await failures(db)).toEqual([]);
});

test('a legacy write waits for adopt, which has not read it, and is mirrored', async () => {
  await patience(30_000);
  const [app, adopter] = [await begin(), await begin()];
  await adoptIn(adopter.client, 'u2');
  const writing = insert(app.client, 'u2', -7);
  await blocked(app, adopter);
  await adopter.client.query('commit');
  await writing;
  await app.client.query('commit');
  expect(await ledger(db, 'u2')).toEqual(['grant 970', 'deduction -7']);
  expect(await failures(db)).toEqual([]);
});

test('adopt that rolls back leaves a write that waited for it to the next adopt', async () => {
  await patience(30_000);
  const [app, adopter] = [await begin(), await begin()];
  await adoptIn(adopter.client, 'u3');
  const writing = insert(app.client, 'u3', -7);
  await blocked(app, adopter);
  await adopter.client.query('rollback');
  await writing;
  await app.client.query('commit');
  expect(await ledger(db, 'u3')).toEqual([]);
  await adopt(db, 'u3');
  expect(await ledger(db, 'u3')).toEqual(['grant 963']);
});

test('a transaction with a snapshot from before adopt: its write is recorded, and retry books it once', async () => {
  const app = await begin('repeatable read');
  await app.client.query('select count(*) from public.credit_transactions');
  await adopt(db, 'u4');
  await insert(app.client, 'u4', -7);
  await app.client.query('commit');
  expect(await failures(db)).toMatchObject([{ account_id: 'u4', sqlstate: '40001' }]);
  expect(await retry()).toEqual({ booked: 1, not_needed: 0, left: [] });
  expect(await ledger(db, 'u4')).toEqual(['grant 970', 'deduction -7']);
  expect(await retry()).toEqual({ booked: 0, not_needed: 0, left: [] });
});

test('a lock on the account delays the write only so long, many rows as long as one; retry books them', async () => {
  await patience(500);
  await adopt(db, 'u5');
  const holder = await begin();
  await holder.client.query(lockRow, ['u5']);
  // Waiting for each of them would take longer than a test may.
  await db.query(
    `insert into public.credit_transactions (user_id, amount) select 'u5', -1 from generate_series(1, 150)`,
  );
  const recorded = await failures(db);
  expect(recorded).toHaveLength(150);
  expect(new Set(recorded.map(({ sqlstate }) => sqlstate))).toEqual(new Set(['55P03']));
  await holder.client.query('rollback');
  expect(await retry()).toEqual({ booked: 150, not_needed: 0, left: [] });
  expect(await db.one(`select balance from credits.remaining where account_id = 'u5'`)).toEqual({
    balance: 820,
  });
});

test('what was recorded while adopt held the account, and what adopt then read: each is there once', async () => {
  await patience(50);
  const adopter = await begin();
  await adopter.client.query(`select credits_private.begin_import('u6')`);
  await insert(db, 'u6', -7);
  expect(await failures(db)).toMatchObject([{ account_id: 'u6', sqlstate: '55P03' }]);
  await adoptIn(adopter.client, 'u6');
  await insert(db, 'u6', -9);
  await adopter.client.query('commit');
  expect(await failures(db)).toHaveLength(2);
  expect(await retry()).toEqual({ booked: 1, not_needed: 1, left: [] });
  expect(await ledger(db, 'u6')).toEqual(['grant 963', 'deduction -9']);
});

test('what was recorded for an account that is not adopted is left to adopt', async () => {
  await patience(50);
  const holder = await begin();
  await holder.client.query(`select credits_private.begin_import('u7')`);
  await insert(db, 'u7', -7);
  await holder.client.query('commit');
  expect(await retry()).toEqual({ booked: 0, not_needed: 1, left: [] });
  await adopt(db, 'u7');
  expect(await ledger(db, 'u7')).toEqual(['grant 963']);
});

const three = `insert into public.credit_transactions (user_id, amount)
  select $1, -7 from generate_series(1, 3)`;

test('a statement that times out while it waits for us goes on, and its transaction has us try no more', async () => {
  await patience(30_000);
  await adopt(db, 'u8');
  const holder = await begin();
  await holder.client.query(lockRow, ['u8']);
  const app = await begin();
  await app.client.query(`set local statement_timeout = '100ms'`);
  await app.client.query(three, ['u8']);
  await holder.client.query('rollback');
  await insert(app.client, 'u8', -7);
  await app.client.query('commit');
  const notTried = {
    sqlstate: '57014',
    error: 'not tried, as a cancel came before it in its transaction',
    change: { new: { account_id: 'u8', amount: -7 } },
  };
  expect(await failures(db)).toMatchObject([
    { account_id: 'u8', sqlstate: '57014', error: 'canceling statement due to statement timeout' },
    notTried,
    notTried,
    notTried,
  ]);
  await insert(db, 'u8', -1);
  expect(await ledger(db, 'u8')).toEqual(['grant 970', 'deduction -1']);
  expect(await retry()).toMatchObject({ booked: 4 });
});

test('the shadow catches no second cancel, not even while it records a failure', async () => {
  await patience(30_000);
  await adopt(db, 'u10');
  const [holder, blocker, app] = [await begin(), await begin(), await begin()];
  await holder.client.query(lockRow, ['u10']);
  await blocker.client.query('lock table credits_adoption.failures in share mode');
  const writing = app.client.query(three, ['u10']);
  const refused = expect(writing).rejects.toMatchObject({ code: '57014' });
  for (const each of [holder, blocker]) {
    await blocked(app, each);
    await db.query('select pg_cancel_backend($1)', [app.pid]);
  }
  await refused;
  await app.client.query('rollback');
  for (const { client } of [blocker, holder]) await client.query('rollback');
  expect(await failures(db)).toEqual([]);
  expect(await ledger(db, 'u10')).toEqual(['grant 970']);
});

test('app code that locks in the other order never becomes the victim of a deadlock with the shadow', async () => {
  await adopt(db, 'u9');
  await patience(1000);
  const [webhook, debit] = [await begin(), await begin()];
  for (const { client } of [webhook, debit])
    await client.query(`set local deadlock_timeout = '4s'`);
  const update = ({ client }: Session, amount: number) =>
    client.query(`update public.user_credits set balance = balance + $1 where user_id = 'u9'`, [
      amount,
    ]);
  await insert(webhook.client, 'u9', 50);
  await update(debit, -7);
  const updating = update(webhook, 50);
  await blocked(webhook, debit);
  await insert(debit.client, 'u9', -7);
  await debit.client.query('commit');
  await updating;
  await webhook.client.query('commit');
  expect(await failures(db)).toMatchObject([{ account_id: 'u9', sqlstate: '55P03' }]);
  expect(await retry()).toMatchObject({ booked: 1 });
  expect(await ledger(db, 'u9')).toEqual(['grant 970', 'grant 50', 'deduction -7']);
  await expectNoDiscrepancies(db);
});
