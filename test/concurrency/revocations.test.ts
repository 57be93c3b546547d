import { expect, test } from 'vitest';
import { type Arguments, call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { entriesOf } from '../support/ledger.ts';
import { expectNoDiscrepancies, type Outcome, type Racer, raceFor, times } from './race.ts';

const db = useDatabase();

const on = (account: string, name: string, args: Arguments) =>
  call(db, name, { p_account_id: account, ...args });
const racer =
  (account: string, name: string, args: Arguments): Racer =>
  (client) =>
    call(client, name, { p_account_id: account, ...args });

const grant = (account: string, amount: number) =>
  on(account, 'grant_credits', { p_amount: amount, p_idempotency_key: 'pay_1' });
const spenders = (account: string, count: number, amount: number) =>
  times(count, (i) =>
    racer(account, 'deduct_credits', { p_amount: amount, p_idempotency_key: `deduct ${i}` }),
  );
const revocation = (account: string, key: string, args: Arguments = {}) =>
  racer(account, 'revoke_grant', { p_grant_id: 1, p_idempotency_key: key, ...args });

/** This call stands in the middle, so that some others come before it and some after it. */
const amid = (racers: Racer[], ...others: Racer[]): Racer[] => [
  ...racers.slice(0, racers.length / 2),
  ...others,
  ...racers.slice(racers.length / 2),
];
const spentBy = ({ answers }: Outcome) =>
  answers.filter((answer) => !('outstanding' in answer)).map((answer) => answer.transaction_id);

const sumsOf = async (account: string) =>
  db.one(
    `select r.balance, r.debt, coalesce(-sum(e.amount) filter (where kind = 'deduction'), 0)::bigint
       as spent, coalesce(-sum(e.amount) filter (where kind = 'revocation'), 0)::bigint as revoked
     from credits.remaining as r left join credits.entries as e using (account_id)
     where account_id = $1 group by r.balance, r.debt`,
    [account],
  );

test('a grant that is revoked while twenty spend it is taken or spent, no credit twice', async () => {
  await grant('clamp', 200);
  const outcome = await raceFor(
    db,
    'clamp',
    amid(spenders('clamp', 20, 10), revocation('clamp', 're_1')),
  );
  const spent = spentBy(outcome);
  const revoked = outcome.answers.find((answer) => 'outstanding' in answer);
  expect(revoked).toMatchObject({
    amount: 200 - 10 * spent.length,
    outstanding: 10 * spent.length,
  });
  expect(outcome.errors.map(({ code, detail }) => [code, detail.available])).toEqual(
    times(20 - spent.length, () => ['PT402', 0]),
  );
  expect(await sumsOf('clamp')).toEqual({
    balance: 0,
    debt: 0,
    spent: 10 * spent.length,
    revoked: 200 - 10 * spent.length,
  });
  // Refunded at once, all that comes back is taken.
  await raceFor(
    db,
    'clamp',
    spent.map((transaction) =>
      racer('clamp', 'refund_credits', {
        p_transaction_id: transaction,
        p_idempotency_key: `refund ${transaction}`,
      }),
    ),
  );
  expect(await sumsOf('clamp')).toMatchObject({ balance: 0, revoked: 200 });
  await expectNoDiscrepancies(db);
});

test('a revocation with debt beside spending callers books what was spent as owed, and nothing is spent after', async () => {
  await grant('debt', 200);
  const { answers, errors } = await raceFor(
    db,
    'debt',
    amid(spenders('debt', 20, 10), revocation('debt', 're_1', { p_on_spent: 'debt' })),
  );
  const spent = 10 * (answers.length - 1);
  expect(errors.map(({ code }) => code)).toEqual(times(20 - spent / 10, () => 'PT402'));
  expect(await sumsOf('debt')).toEqual({ balance: -spent, debt: spent, spent, revoked: 200 });
  const kinds = (await entriesOf(db, 'debt')).map(([kind]) => kind);
  expect(kinds.slice(kinds.indexOf('revocation')).includes('deduction')).toBe(false);
  await expectNoDiscrepancies(db);
});

test('a refund and a dispute of one payment at once take it back once', async () => {
  await grant('twice', 100);
  const { answers } = await raceFor(db, 'twice', [
    ...times(10, (i) => revocation('twice', `re_${i}`, { p_amount: 60 })),
    ...times(10, (i) => revocation('twice', `dp_${i}`)),
  ]);
  expect(answers).toHaveLength(20);
  expect(answers.reduce((sum, { amount }) => sum + amount, 0)).toBe(100);
  expect(await sumsOf('twice')).toEqual({ balance: 0, debt: 0, spent: 0, revoked: 100 });
  await expectNoDiscrepancies(db);
});

test('one revocation on twenty connections is taken back once, and each gets the same answer', async () => {
  await grant('event', 100);
  await on('event', 'deduct_credits', { p_amount: 30, p_idempotency_key: 'deduct' });
  const { answers } = await raceFor(
    db,
    'event',
    times(20, () => revocation('event', 're_1', { p_amount: 80, p_on_spent: 'debt' })),
  );
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
  const [{ replayed, ...first }] = answers;
  expect(first).toMatchObject({ amount: 80, balance: -10 });
  for (const answer of answers) expect(answer).toMatchObject(first);
  expect(await sumsOf('event')).toEqual({ balance: -10, debt: 10, spent: 30, revoked: 80 });
  await expectNoDiscrepancies(db);
});
