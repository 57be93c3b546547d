import type pg from 'pg';
import { expect, test } from 'vitest';
import { call, callAt } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, ledger, race, times } from './race.ts';

const db = useDatabase();

const granted = (account: string) =>
  call(db, 'grant_credits', { p_account_id: account, p_amount: 100, p_idempotency_key: 'grant' });

const deduct = (client: pg.Client, account: string, amount = 60) =>
  call(client, 'deduct_credits', {
    p_account_id: account,
    p_amount: amount,
    p_idempotency_key: 'shared',
  });

const state = async (account: string) => ({
  ledger: await ledger(db, account),
  ...(await db.one(
    `select a.balance, a.last_entry_id, a.period, a.due_at::text,
            (select count(*) from credits_private.idempotency_keys k
             where k.account_id = a.account_id) as keys,
            (select count(*) from credits.usage u where u.account_id = a.account_id) as counters
     from credits_private.accounts a where a.account_id = $1`,
    [account],
  )),
});

test('a deduction that is rolled back leaves nothing, and one that waited for it takes effect', async () => {
  await granted('transaction');
  const before = await state('transaction');
  const racers = times(10, () => (client: pg.Client) => deduct(client, 'transaction'));
  const { answers, errors } = await race(
    db,
    racers,
    async (holder) => {
      expect(await deduct(holder, 'transaction')).toMatchObject({ replayed: false });
      expect(await state('transaction')).toEqual(before); // nobody sees what is not committed
    },
    'rollback',
  );
  expect(errors).toEqual([]);
  expect(answers.filter((answer) => !answer.replayed)).toMatchObject([{ balance: 40 }]);
  expect(await ledger(db, 'transaction')).toEqual(['grant 100', 'deduction -60']);
  await expectNoDiscrepancies(db);
});

test('callers who waited for a deduction with their key get its answer when it commits', async () => {
  await granted('commits');
  const { answers, errors } = await race(
    db,
    times(10, () => (client: pg.Client) => deduct(client, 'commits')),
    (holder) => deduct(holder, 'commits'),
  );
  expect(errors).toEqual([]);
  expect(answers).toMatchObject(times(10, () => ({ balance: 40, replayed: true })));
  await expectNoDiscrepancies(db);
});

test('a deduction that is rolled back to a savepoint leaves nothing', async () => {
  await granted('savepoint');
  const before = await state('savepoint');
  const client = await db.connect();
  await client.query('begin; savepoint attempt');
  expect(await deduct(client, 'savepoint', 90)).toMatchObject({ replayed: false });
  await client.query('rollback to savepoint attempt');
  await client.query('savepoint attempt');
  expect(await raised(deduct(client, 'savepoint', 101))).toMatchObject({ code: 'PT402' });
  await client.query('rollback to savepoint attempt; commit');
  expect(await state('savepoint')).toEqual(before);
  // The key is free for another amount.
  expect(await deduct(client, 'savepoint', 60)).toMatchObject({ balance: 40, replayed: false });
  await expectNoDiscrepancies(db);
});

test('a settlement that is rolled back leaves nothing, nor does that of a call that fails', async () => {
  await callAt(db, 'grant_credits', '2024-01-10', {
    p_account_id: 'settled',
    p_amount: 100,
    p_expires_at: '2024-01-20',
    p_idempotency_key: 'grant',
  });
  const before = await state('settled');
  const client = await db.connect();
  await client.query('begin');
  expect(await call(client, 'settle_account', { p_account_id: 'settled' })).toMatchObject({
    balance: 0,
  });
  await client.query('rollback');
  expect(await raised(deduct(client, 'settled'))).toMatchObject({ code: 'PT402' });
  expect(await state('settled')).toEqual(before);
  await expectNoDiscrepancies(db);
});

test('a grant that opened the account and is rolled back leaves no account', async () => {
  const client = await db.connect();
  await client.query('begin');
  await call(client, 'grant_credits', {
    p_account_id: 'nobody',
    p_amount: 1,
    p_idempotency_key: 'grant',
  });
  await client.query('rollback');
  expect(await raised(deduct(client, 'nobody'))).toMatchObject({ code: 'PT404' });
});
