import { expect, test } from 'vitest';
import { deductAt, grantAt, overdraftAt, settleAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');

/** An account that owes 30, in transaction 2: a grant of 10, spent with 30 more. */
async function indebted(account: string): Promise<void> {
  await grantAt(db, account, start, { key: 'grant', amount: 10, expires: start + 30 * DAY });
  await overdraftAt(db, account, start, 50);
  await deductAt(db, account, start, { key: 'deduct', amount: 40, apiKey: 'key a' });
}

test('a grant repays debt first and says how much, also on a replay', async () => {
  await indebted('granted');
  const grant = { key: 'next', amount: 12 };
  const answer = await grantAt(db, 'granted', start, grant);
  expect(answer).toEqual({
    grant_id: 2,
    transaction_id: 4,
    amount: 12,
    balance: -18,
    available: 32,
    replayed: false,
    repaid: 12,
    expires_at: null,
  });
  await grantAt(db, 'granted', start, { key: 'more', amount: 100 });
  expect(await grantAt(db, 'granted', start, grant)).toEqual({ ...answer, replayed: true });
  expect(await entriesOf(db, 'granted', 4)).toEqual([
    ['grant', 12, 2],
    ['repay', -12, 2],
    ['repay', 12, null],
    ['grant', 100, 3],
    ['repay', -18, 3],
    ['repay', 18, null],
  ]);
  const last = await grantAt(db, 'granted', start, { key: 'last', amount: 1 });
  expect(last).toMatchObject({ balance: 83, available: 133, repaid: 0 });
  expect(await grantAt(db, 'granted', start, { key: 'last', amount: 1 })).toMatchObject({
    repaid: 0,
    replayed: true,
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('a repayment is a transaction of its own, without a key, and leaves the balance as it is', async () => {
  await indebted('transaction');
  await grantAt(db, 'transaction', start, { key: 'next', amount: 12 });
  expect(
    await db.query(
      `select transaction_id, kind, amount, balance_after, idempotency_key from credits.transactions
       where account_id = 'transaction' and transaction_id > 3 order by transaction_id`,
    ),
  ).toEqual([
    {
      transaction_id: 4,
      kind: 'grant',
      amount: 12,
      balance_after: -18,
      idempotency_key: 'next',
    },
    { transaction_id: 5, kind: 'repay', amount: 0, balance_after: -18, idempotency_key: null },
  ]);
});

test('scoped credit repays no debt', async () => {
  await indebted('scoped');
  const scoped = { key: 'scoped', amount: 100, operations: ['search'] };
  expect(await grantAt(db, 'scoped', start, scoped)).toMatchObject({
    balance: 70,
    available: 20,
    repaid: 0,
  });
  expect(await figuresAt(db, 'scoped', start)).toMatchObject({ scoped: 100, debt: 30 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a scheduled grant repays debt when it begins, whether or not anything has settled it', async () => {
  await indebted('scheduled');
  const grant = { key: 'later', amount: 20, effective: start + DAY };
  expect(await grantAt(db, 'scheduled', start, grant)).toMatchObject({ balance: -30, repaid: 0 });
  expect(await figuresAt(db, 'scheduled', start + DAY - 1)).toMatchObject({ debt: 30 });
  const then = { available: 40, scoped: 0, held: 0, debt: 10 };
  expect(await figuresAt(db, 'scheduled', start + DAY)).toEqual(then);
  await settleAt(db, 'scheduled', start + 2 * DAY);
  expect(await figuresAt(db, 'scheduled', start + 2 * DAY)).toEqual(then);
  expect(await entriesOf(db, 'scheduled', 4)).toEqual([
    ['grant', 20, 2],
    ['repay', -20, 2],
    ['repay', 20, null],
  ]);
  expect(
    await db.one(
      `select count(*) as entries, max(effective_at) = '2024-01-11Z' as on_time
       from credits.entries where account_id = 'scheduled' and entry_id >= 4`,
    ),
  ).toEqual({ entries: 3, on_time: true });
  expect(await discrepancies(db)).toEqual([]);
});

test('a repayment changes no figure of an invoice and no usage', async () => {
  const surfaces = async (account: string) =>
    Promise.all(
      ['invoice', 'invoice_lines', 'usage'].map((view) =>
        db.query(
          `select to_jsonb(v) - 'account_id' as row from credits.${view} as v
          where account_id = $1 order by period`,
          [account],
        ),
      ),
    );
  await indebted('in debt');
  await grantAt(db, 'in debt', start, { key: 'next', amount: 100 });
  // The same movements without a debt that could be repaid: the grant comes first.
  await grantAt(db, 'never', start, { key: 'grant', amount: 10 });
  await grantAt(db, 'never', start, { key: 'next', amount: 100 });
  await deductAt(db, 'never', start, { key: 'deduct', amount: 40, apiKey: 'key a' });
  expect(await surfaces('in debt')).toEqual(await surfaces('never'));
  expect((await surfaces('in debt'))[0]).toMatchObject([
    { row: { credits_granted: 110, credits_used: 40, credits_refunded: 0, closing_balance: 70 } },
  ]);
  expect(await discrepancies(db)).toEqual([]);
});
