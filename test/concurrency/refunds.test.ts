import { expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, raceFor, times } from './race.ts';

const db = useDatabase();

/** An account with two grants of 50, and a deduction of 80 from both. */
async function deducted(account: string): Promise<number> {
  for (const key of ['first', 'second']) {
    await call(db, 'grant_credits', {
      p_account_id: account,
      p_amount: 50,
      p_idempotency_key: key,
    });
  }
  const { transaction_id } = await call(db, 'deduct_credits', {
    p_account_id: account,
    p_amount: 80,
    p_idempotency_key: 'deduct',
  });
  return transaction_id;
}

const refund = (account: string, transaction: number, key: string, amount: number | null) => ({
  p_account_id: account,
  p_transaction_id: transaction,
  p_idempotency_key: key,
  p_amount: amount,
});

const refunded = (account: string) =>
  db.one(
    `select sum(amount) filter (where kind = 'refund')::int as refunded,
            sum(amount)::int as balance
     from credits.transactions where account_id = $1`,
    [account],
  );

test('refunds of one deduction at once never give back more than it took', async () => {
  const transaction = await deducted('many');
  const { answers, errors } = await raceFor(
    db,
    'many',
    times(
      20,
      (i) => (client) =>
        call(client, 'refund_credits', refund('many', transaction, `refund ${i}`, 9)),
    ),
  );
  expect(answers).toHaveLength(8); // 72 of 80
  expect(errors).toHaveLength(12);
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'PT409', constraint: 'refunds_never_exceed_the_original' });
    expect(error.detail).toMatchObject({ requested: 9, refundable: 8 });
  }
  expect(await refunded('many')).toEqual({ refunded: 72, balance: 92 });
  await expectNoDiscrepancies(db);
});

test('of refunds of all that is left at once, one gets it', async () => {
  const transaction = await deducted('all');
  const { answers, errors } = await raceFor(
    db,
    'all',
    times(
      20,
      (i) => (client) =>
        call(client, 'refund_credits', refund('all', transaction, `refund ${i}`, null)),
    ),
  );
  expect(answers).toMatchObject([{ amount: 80, balance: 100 }]);
  expect(errors.map(({ code, detail }) => [code, detail.refundable])).toEqual(
    times(19, () => ['PT409', 0]),
  );
  await expectNoDiscrepancies(db);
});

test('deductions and refunds at once: what is refunded can be spent, and no more', async () => {
  const transaction = await deducted('both');
  const { answers, errors } = await raceFor(
    db,
    'both',
    times(
      20,
      (i) => (client) =>
        i % 2
          ? call(client, 'refund_credits', refund('both', transaction, `refund ${i}`, 8))
          : call(client, 'deduct_credits', {
              p_account_id: 'both',
              p_amount: 20,
              p_idempotency_key: `deduct ${i}`,
            }),
    ),
  );
  // 20 are left and 80 come back, in whatever order: at most five deductions of 20, at least one.
  const spent = answers.filter((answer) => answer.amount === 20).length;
  expect(answers.length - spent).toBe(10);
  expect(spent).toBeGreaterThanOrEqual(1);
  expect(spent).toBeLessThanOrEqual(5);
  expect(errors.map((error) => error.code)).toEqual(times(10 - spent, () => 'PT402'));
  expect(await refunded('both')).toEqual({ refunded: 80, balance: 100 - 20 * spent });
  await expectNoDiscrepancies(db);
});

test('a refund that waits for its own deduction finds it when that commits', async () => {
  const transaction = await deducted('pending');
  const waiting = (key: string) =>
    raceFor(
      db,
      'pending',
      [(client) => call(client, 'refund_credits', refund('pending', transaction + 2, key, null))],
      async (holder) => {
        await call(holder, 'deduct_credits', {
          p_account_id: 'pending',
          p_amount: 20,
          p_idempotency_key: 'in flight',
        });
        await holder.query(key);
      },
    );
  expect((await waiting('rollback')).errors).toMatchObject([{ code: 'PT404' }]);
  expect((await waiting('commit')).answers).toMatchObject([{ amount: 20, balance: 20 }]);
  await expectNoDiscrepancies(db);
});
