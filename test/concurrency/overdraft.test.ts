import { expect, test } from 'vitest';
import { type Arguments, call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, type Racer, raceFor, times } from './race.ts';

const db = useDatabase();

const racer =
  (account: string, name: string, args: Arguments): Racer =>
  (client) =>
    call(client, name, { p_account_id: account, ...args });
const open = (account: string, overdraft: number) =>
  call(db, 'open_account', { p_account_id: account, p_overdraft_limit: overdraft });

/** Twenty who spend 10 each, and in the middle of them another call. */
const amidTwenty = (account: string, name: string, args: Arguments = {}) => {
  const spend = (i: number) =>
    racer(account, 'deduct_credits', { p_amount: 10, p_idempotency_key: `deduct ${i}` });
  return raceFor(db, account, [
    ...times(10, spend),
    racer(account, name, args),
    ...times(10, (i) => spend(10 + i)),
  ]);
};
const figures = (account: string) =>
  db.one('select balance, debt, available from credits.remaining where account_id = $1', [account]);

test('twenty who spend on an overdraft for seven go seven times into debt', async () => {
  await open('for seven', 75);
  const { answers, errors } = await amidTwenty('for seven', 'settle_account');
  expect(answers).toHaveLength(7 + 1);
  expect(errors.map(({ code, detail }) => [code, detail.available])).toEqual(
    times(13, () => ['PT402', 5]),
  );
  expect(await figures('for seven')).toEqual({ balance: -70, debt: 70, available: 5 });
  await expectNoDiscrepancies(db);
});

test('a grant among parallel overdrafts repays what is owed by then, and the rest of it is spent', async () => {
  await open('granted', 50);
  const args = { p_amount: 100, p_idempotency_key: 'grant' };
  const { answers, errors } = await amidTwenty('granted', 'grant_credits', args);
  const grant = answers.find((answer) => 'repaid' in answer);
  const spent = 10 * (answers.length - 1);
  expect(grant.repaid).toBe(100 - grant.balance);
  expect(grant.repaid).toBeLessThanOrEqual(50);
  expect(errors.map(({ code }) => code)).toEqual(times(20 - spent / 10, () => 'PT402'));
  const debt = Math.max(0, spent - 100);
  expect(await figures('granted')).toEqual({
    balance: 100 - spent,
    debt,
    available: 150 - spent,
  });
  const repaid = await db.one(
    `select coalesce(sum(amount), 0)::bigint as amount from credits.entries
     where account_id = 'granted' and kind = 'repay' and grant_id is null`,
  );
  expect(repaid).toEqual({ amount: grant.repaid });
  await expectNoDiscrepancies(db);
});

test.each([
  ['raised', 20, 80],
  ['lowered', 80, 20],
])(
  'an overdraft limit that is %s among parallel deductions holds from then on',
  async (account, before, after) => {
    await open(account, before);
    const args = { p_overdraft_limit: after };
    const { answers, errors } = await amidTwenty(account, 'set_overdraft_limit', args);
    const set = answers.find((answer) => !('transaction_id' in answer));
    const spends = answers.filter((answer) => 'transaction_id' in answer);
    for (const { balance, available } of spends) {
      expect(available).toBe((balance >= set.balance ? before : after) + balance);
    }
    expect(set.available).toBe(Math.max(0, after + set.balance));
    expect(errors.map(({ code }) => code)).toEqual(times(20 - spends.length, () => 'PT402'));
    const debt = 10 * spends.length;
    expect(debt).toBeLessThanOrEqual(Math.max(-set.balance, after));
    const available = Math.max(0, after - debt);
    expect(await figures(account)).toEqual({ balance: -debt, debt, available });
    await expectNoDiscrepancies(db);
  },
);

test('an account that is closed among parallel deductions is spent on before, and not after', async () => {
  await open('closed', 0);
  const grant = { p_account_id: 'closed', p_amount: 500, p_idempotency_key: 'grant' };
  await call(db, 'grant_credits', grant);
  const { answers, errors } = await amidTwenty('closed', 'close_account');
  const closed = answers.find((answer) => !('transaction_id' in answer));
  const spent = 10 * (answers.length - 1);
  expect(closed).toMatchObject({ balance: 500 - spent, available: 0 });
  expect(errors.map(({ code }) => code)).toEqual(times(20 - spent / 10, () => 'PT423'));
  expect(await figures('closed')).toEqual({ balance: 500 - spent, debt: 0, available: 0 });
  await expectNoDiscrepancies(db);
});
