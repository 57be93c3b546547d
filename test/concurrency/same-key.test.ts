import { expect, test } from 'vitest';
import { type Arguments, call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, ledger, race, raceFor, times } from './race.ts';

const db = useDatabase();

const grant = (account: string, amount = 100) =>
  call(db, 'grant_credits', {
    p_account_id: account,
    p_amount: amount,
    p_idempotency_key: 'grant',
  });

/** One call from twenty connections at once; its one answer. */
async function twentyTimes(name: string, args: Arguments & { p_account_id: string }) {
  const { answers, errors } = await raceFor(
    db,
    args.p_account_id,
    times(20, () => (client) => call(client, name, args)),
  );
  expect(errors).toEqual([]);
  return oneAnswer(answers);
}

function oneAnswer(answers: { replayed: boolean }[]) {
  expect(answers.filter((answer) => answer.replayed)).toHaveLength(19);
  const different = new Set(answers.map((answer) => JSON.stringify({ ...answer, replayed: null })));
  expect(different.size).toBe(1);
  return { ...answers[0], replayed: null };
}

test('a deduction with one key from twenty connections has one effect and one answer', async () => {
  await grant('deduct');
  const answer = await twentyTimes('deduct_credits', {
    p_account_id: 'deduct',
    p_amount: 60, // a second one would not be possible, and is not asked for
    p_idempotency_key: 'shared',
  });
  expect(answer).toMatchObject({ transaction_id: 2, amount: 60, balance: 40, available: 40 });
  expect(await ledger(db, 'deduct')).toEqual(['grant 100', 'deduction -60']);
  await expectNoDiscrepancies(db);
});

test('a grant with one key from twenty connections has one effect and one answer', async () => {
  await grant('grant');
  const answer = await twentyTimes('grant_credits', {
    p_account_id: 'grant',
    p_amount: 7,
    p_idempotency_key: 'shared',
  });
  expect(answer).toMatchObject({ grant_id: 2, transaction_id: 2, balance: 107 });
  expect(await ledger(db, 'grant')).toEqual(['grant 100', 'grant 7']);
  await expectNoDiscrepancies(db);
});

test('a refund with one key from twenty connections has one effect and one answer', async () => {
  await grant('refund');
  const deduct = { p_account_id: 'refund', p_amount: 30, p_idempotency_key: 'deduct' };
  const { transaction_id } = await call(db, 'deduct_credits', deduct);
  const answer = await twentyTimes('refund_credits', {
    p_account_id: 'refund',
    p_transaction_id: transaction_id,
    p_amount: 5,
    p_idempotency_key: 'shared',
  });
  expect(answer).toMatchObject({ amount: 5, balance: 75 });
  expect(await ledger(db, 'refund')).toEqual(['grant 100', 'deduction -30', 'refund 5']);
  await expectNoDiscrepancies(db);
});

// The racers wait for a transaction that has opened the account too, and is then undone.
const firstGrants = (account: string, key: (i: number) => string) =>
  race(
    db,
    times(
      20,
      (i) => (client) =>
        call(client, 'grant_credits', {
          p_account_id: account,
          p_amount: 5,
          p_idempotency_key: key(i),
        }),
    ),
    (holder) => call(holder, 'open_account', { p_account_id: account, p_unit: 'undone' }),
    'rollback',
  );

test('twenty first grants with one key open one account and grant once', async () => {
  const { answers, errors } = await firstGrants('new', () => 'shared');
  expect(errors).toEqual([]);
  expect(oneAnswer(answers)).toMatchObject({ grant_id: 1, transaction_id: 1, balance: 5 });
  expect(await ledger(db, 'new')).toEqual(['grant 5']);
  await expectNoDiscrepancies(db);
});

test('twenty first grants with keys of their own open one account and grant twenty times', async () => {
  const { answers, errors } = await firstGrants('newer', (i) => `key ${i}`);
  expect(errors).toEqual([]);
  expect(answers.map((answer) => answer.grant_id).sort((a, b) => a - b)).toEqual(
    times(20, (i) => i + 1),
  );
  expect(
    await db.one(`select unit, balance from credits.remaining where account_id = 'newer'`),
  ).toEqual({ unit: 'credit', balance: 100 });
  await expectNoDiscrepancies(db);
});

test('twenty who open one account agree, and open it once', async () => {
  const { answers, errors } = await race(
    db,
    times(
      20,
      () => (client) =>
        call(client, 'open_account', { p_account_id: 'opened', p_unit: 'usd', p_scale: 2 }),
    ),
    (holder) => call(holder, 'open_account', { p_account_id: 'opened', p_unit: 'undone' }),
    'rollback',
  );
  expect(errors).toEqual([]);
  expect(answers).toEqual(times(20, () => ({ account_id: 'opened', balance: 0, available: 0 })));
  expect(
    await db.query(`select unit, scale from credits.remaining where account_id = 'opened'`),
  ).toEqual([{ unit: 'usd', scale: 2 }]);
  await expectNoDiscrepancies(db);
});
