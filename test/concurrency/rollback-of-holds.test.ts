import type pg from 'pg';
import { expect, test } from 'vitest';
import { type Arguments, batch, call, type Target } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { everything } from '../support/ledger.ts';
import { expectNoDiscrepancies, ledger, race, times } from './race.ts';

const db = useDatabase();

const keyed = (target: Target, name: string, account: string, key: string, args: Arguments) =>
  call(target, name, { p_account_id: account, p_idempotency_key: key, ...args });
const hold = (target: Target, account: string, amount: number) =>
  keyed(target, 'hold_credits', account, 'hold', { p_amount: amount });
const capture = (target: Target, account: string, amount: number) =>
  keyed(target, 'capture_hold', account, 'capture', { p_hold_id: 1, p_amount: amount });
const granted = (account: string) =>
  keyed(db, 'grant_credits', account, 'grant', { p_amount: 100 });

/** Twelve who wait for a transaction that does the same call and is then undone. */
const raceWithUndone = (work: (client: pg.Client) => Promise<unknown>) =>
  race(
    db,
    times(12, () => work),
    async (holder) => {
      const before = await everything(db);
      await work(holder);
      expect(await everything(db)).toBe(before); // nobody sees what is not committed
    },
    'rollback',
  );
const fresh = (answers: { replayed: boolean }[]) => answers.filter((answer) => !answer.replayed);

test('a hold that is rolled back leaves nothing, and one that waited for it takes effect', async () => {
  await granted('hold');
  const { answers, errors } = await raceWithUndone((client) => hold(client, 'hold', 60));
  expect(errors).toEqual([]);
  expect(fresh(answers)).toMatchObject([{ hold_id: 1, available: 40 }]);
  const { parts } = await db.one('select count(*) as parts from credits_private.hold_parts');
  expect(parts).toBe(1);
  await expectNoDiscrepancies(db);
});

test('a capture that is rolled back leaves the hold open, for one that waited', async () => {
  await granted('capture');
  await hold(db, 'capture', 60);
  const { answers, errors } = await raceWithUndone((client) => capture(client, 'capture', 50));
  expect(errors).toEqual([]);
  expect(fresh(answers)).toMatchObject([{ balance: 50, available: 50 }]);
  expect(await ledger(db, 'capture')).toEqual(['grant 100', 'capture -50']);
  await expectNoDiscrepancies(db);
});

test('a revocation that is rolled back takes nothing, and one that waited takes it once', async () => {
  await granted('revoke');
  const { answers, errors } = await raceWithUndone((client) =>
    keyed(client, 'revoke_grant', 'revoke', 'revoke', { p_grant_id: 1, p_amount: 70 }),
  );
  expect(errors).toEqual([]);
  expect(fresh(answers)).toMatchObject([{ amount: 70, balance: 30 }]);
  expect(await ledger(db, 'revoke')).toEqual(['grant 100', 'revocation -70']);
  await expectNoDiscrepancies(db);
});

test('whatever a transaction of the app has done, its rollback leaves nothing of it', async () => {
  await granted('app');
  await granted('app 2');
  const before = await everything(db);
  const client = await db.connect();
  const on = (name: string, args: Arguments) =>
    call(client, name, { p_account_id: 'app', ...args });
  await client.query('begin');
  await on('set_limit', { p_limit_id: 'all', p_ceiling: 90 });
  await on('set_overdraft_limit', { p_overdraft_limit: 50 });
  await hold(client, 'app', 60);
  await on('extend_hold', { p_hold_id: 1, p_expires_in: '2 hours' });
  await capture(client, 'app', 30);
  const item = { amount: 20, idempotency_key: 'batch', api_key_id: 'key' };
  const items = ['app', 'app 2'].map((account_id) => ({ ...item, account_id }));
  expect(await batch(client, items, true)).toMatchObject([{ balance: 50 }, { balance: 80 }]);
  await keyed(client, 'revoke_grant', 'app', 'revoke', { p_grant_id: 1, p_on_spent: 'debt' });
  await on('forget_account', {});
  await on('close_account', {});
  await client.query('rollback');
  expect(await everything(db)).toBe(before);
  // The keys are free, for other arguments too.
  expect(await hold(db, 'app', 100)).toMatchObject({ hold_id: 1, available: 0, replayed: false });
  await expectNoDiscrepancies(db);
});

test('a savepoint around a hold that is refused leaves the rest of the transaction', async () => {
  await granted('savepoint');
  const client = await db.connect();
  await client.query('begin');
  await keyed(client, 'deduct_credits', 'savepoint', 'kept', { p_amount: 30 });
  await client.query('savepoint attempt');
  expect(await raised(hold(client, 'savepoint', 71))).toMatchObject({
    code: 'PT402',
    detail: { available: 70 },
  });
  await client.query('rollback to savepoint attempt');
  expect(await hold(client, 'savepoint', 70)).toMatchObject({ hold_id: 1, available: 0 });
  await client.query('savepoint attempt');
  expect(await raised(capture(client, 'savepoint', 71))).toMatchObject({ code: 'PT402' });
  await client.query('rollback to savepoint attempt');
  await client.query('savepoint undone');
  await capture(client, 'savepoint', 70);
  await client.query('rollback to savepoint undone');
  expect(await capture(client, 'savepoint', 7)).toMatchObject({ balance: 63, replayed: false });
  await client.query('commit');
  expect(await ledger(db, 'savepoint')).toEqual(['grant 100', 'deduction -30', 'capture -7']);
  await expectNoDiscrepancies(db);
});

test('a batch of one answers a shortage, where a call aborts the transaction', async () => {
  await granted('answers');
  const client = await db.connect();
  const item = { account_id: 'answers', amount: 101, idempotency_key: 'short' };
  await client.query('begin');
  expect(await batch(client, [item])).toMatchObject([{ error_code: 'PT402' }]);
  expect(await hold(client, 'answers', 10)).toMatchObject({ available: 90 }); // it goes on
  expect(await raised(batch(client, [item], true))).toMatchObject({ code: 'PT402' });
  expect(await raised(hold(client, 'answers', 10))).toMatchObject({ code: '25P02' });
  await client.query('rollback');
  await expectNoDiscrepancies(db);
});
