import { expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, ledger, raceFor, times } from './race.ts';

const db = useDatabase();

const grant = (account: string, amount: number, key: string) =>
  call(db, 'grant_credits', { p_account_id: account, p_amount: amount, p_idempotency_key: key });

/** Forty deductions of `amount` at once. */
const forty = (account: string, amount: number) =>
  raceFor(
    db,
    account,
    times(
      40,
      (i) => (client) =>
        call(client, 'deduct_credits', {
          p_account_id: account,
          p_amount: amount,
          p_idempotency_key: `deduct ${i}`,
        }),
    ),
  );

test('of forty deductions at once on a balance for twenty-five, twenty-five succeed', async () => {
  await grant('one', 252, 'grant'); // 25 times 10, and 2 that are too few for another
  const { answers, errors } = await forty('one', 10);
  expect(answers.map((answer) => answer.balance).sort((a, b) => b - a)).toEqual(
    times(25, (i) => 242 - 10 * i),
  );
  expect(new Set(answers.map((answer) => answer.transaction_id)).size).toBe(25);
  expect(errors).toHaveLength(15);
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'PT402', constraint: 'available_is_never_negative' });
    expect(error.detail).toEqual({
      account_id: 'one',
      requested: 10,
      available: 2,
      invariant: 'available_is_never_negative',
    });
  }
  expect(await ledger(db, 'one')).toEqual(['grant 252', ...times(25, () => 'deduction -10')]);
  expect(
    await db.one(`select balance, credits_used, calls from credits.remaining
      where account_id = 'one'`),
  ).toEqual({ balance: 2, credits_used: 250, calls: 25 });
  await expectNoDiscrepancies(db);
});

test('parallel deductions over many small grants draw no credit twice', async () => {
  for (let i = 0; i < 20; i += 1) await grant('many', 13, `grant ${i}`); // 26 times 10
  const { answers, errors } = await forty('many', 10);
  expect(answers).toHaveLength(26);
  expect(errors.map((error) => [error.code, error.detail.available])).toEqual(
    times(14, () => ['PT402', 0]),
  );
  expect(
    await db.one(`select sum(remaining)::int as remaining, min(remaining)::int as least
      from credits.grants where account_id = 'many'`),
  ).toEqual({ remaining: 0, least: 0 });
  await expectNoDiscrepancies(db);
});

test('a deduction that fails for want of credits leaves no key: it works when there are some', async () => {
  await grant('later', 5, 'grant');
  const args = { p_account_id: 'later', p_amount: 10, p_idempotency_key: 'mine' };
  const { answers, errors } = await raceFor(
    db,
    'later',
    times(5, () => (client) => call(client, 'deduct_credits', args)),
  );
  expect([answers.length, errors.length]).toEqual([0, 5]);
  await grant('later', 5, 'more');
  expect(await call(db, 'deduct_credits', args)).toMatchObject({ balance: 0, replayed: false });
  await expectNoDiscrepancies(db);
});
