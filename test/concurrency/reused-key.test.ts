import { expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, type Outcome, type Racer, race, raceFor, times } from './race.ts';

const db = useDatabase();

async function open(account: string): Promise<void> {
  const base = { p_account_id: account, p_amount: 100 };
  await call(db, 'grant_credits', { ...base, p_idempotency_key: 'grant' });
  await call(db, 'deduct_credits', { ...base, p_idempotency_key: 'deduct' });
  await call(db, 'grant_credits', { ...base, p_idempotency_key: 'grant again' });
}

async function expectOneWinner(
  account: string,
  { answers, errors }: Outcome,
  difference: object,
): Promise<void> {
  expect(answers).toMatchObject([{ transaction_id: 4, replayed: false }]);
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'PT409', constraint: 'a_request_takes_effect_once' });
    expect(error.detail).toEqual({
      account_id: account,
      idempotency_key: 'shared',
      transaction_id: 4,
      ...difference,
      invariant: 'a_request_takes_effect_once',
    });
  }
  const { count } = await db.one(
    'select count(*) from credits.entries where account_id = $1 and entry_id > 3',
    [account],
  );
  expect(count).toBe(1);
  await expectNoDiscrepancies(db);
}

test('of twenty different deductions with one key, one wins and the others are refused', async () => {
  await open('arguments');
  const outcome = await raceFor(
    db,
    'arguments',
    times(
      20,
      (i) => (client) =>
        call(client, 'deduct_credits', {
          p_account_id: 'arguments',
          p_amount: 3,
          p_run_id: `run ${i}`,
          p_idempotency_key: 'shared',
        }),
    ),
  );
  expect(outcome.errors).toHaveLength(19);
  await expectOneWinner('arguments', outcome, {
    function: 'deduct_credits',
    differs: ['run_id'],
  });
});

test('of three functions with one key, one wins and the others are refused', async () => {
  await open('functions');
  const base = { p_account_id: 'functions', p_amount: 5, p_idempotency_key: 'shared' };
  const racers: Racer[] = [
    (client) => call(client, 'deduct_credits', base),
    (client) => call(client, 'grant_credits', base),
    (client) => call(client, 'refund_credits', { ...base, p_transaction_id: 2 }),
  ];
  const outcome = await raceFor(db, 'functions', racers);
  expect(outcome.errors).toHaveLength(2);
  await expectOneWinner('functions', outcome, { function: expect.stringMatching(/_credits$/) });
});

test('a key is per account: twenty accounts use the same one at once', async () => {
  const accounts = times(20, (i) => `account ${i}`);
  for (const account of accounts) {
    await call(db, 'grant_credits', {
      p_account_id: account,
      p_amount: 9,
      p_idempotency_key: 'grant',
    });
  }
  const { answers, errors } = await race(
    db,
    accounts.map(
      (account) => (client) =>
        call(client, 'deduct_credits', {
          p_account_id: account,
          p_amount: 4,
          p_idempotency_key: 'shared',
        }),
    ),
    (holder) => holder.query('select from credits_private.accounts for update'),
  );
  expect(errors).toEqual([]);
  expect(answers).toMatchObject(times(20, () => ({ balance: 5, replayed: false })));
  await expectNoDiscrepancies(db);
});
