import { expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  overdraftAt,
  refundAt,
} from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');

/** Transaction 2 drew 10 from grant 1 and 40 from the overdraft. */
async function indebted(account: string): Promise<void> {
  await grantAt(db, account, start, { key: 'grant', amount: 10 });
  await overdraftAt(db, account, start, 50);
  await deductAt(db, account, start, { key: 'deduct', amount: 50, apiKey: 'key a' });
}
const refund = (account: string, key: string, amount: number | null = null, at = start) =>
  refundAt(db, account, at, { key, transaction: 2, amount });

test('a refund of a part that was debt lowers what is owed, before anything goes to a grant', async () => {
  await indebted('owed');
  const part = { amount: 25, balance: -15, available: 35, repaid: 0 };
  expect(await refund('owed', 'part', 25)).toMatchObject(part);
  expect(await refund('owed', 'part', 25)).toMatchObject({ ...part, replayed: true });
  expect(await figuresAt(db, 'owed', start)).toMatchObject({ debt: 15, available: 35 });
  expect(await refund('owed', 'rest')).toMatchObject({ amount: 25, balance: 10, available: 60 });
  expect(await entriesOf(db, 'owed', 4)).toEqual([
    ['refund', 25, null],
    ['refund', 15, null],
    ['refund', 10, 1],
  ]);
  const more = await raised(refund('owed', 'more', 1));
  expect(more).toMatchObject({ code: 'PT409', detail: { refundable: 0 } });
  expect(
    await db.one(
      `select credits_used, credits_refunded, net_used from credits.usage where account_id = 'owed'`,
    ),
  ).toEqual({ credits_used: 50, credits_refunded: 50, net_used: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

/** Kind, amount, grant, and what it gives back: an entry of the original, and a repayment of it. */
const refunds = async (account: string) =>
  (
    await db.query(
      `select amount, grant_id, refunded_entry_id, repaid_entry_id from credits.entries
       where account_id = $1 and kind = 'refund' order by entry_id`,
      [account],
    )
  ).map((row) => [row.amount, row.grant_id, row.refunded_entry_id, row.repaid_entry_id]);

test('a refund of debt that has been repaid goes back to the grants that repaid it, the latest first', async () => {
  await indebted('repaid');
  await grantAt(db, 'repaid', start, { key: 'second', amount: 15 }); // entry 5 repays
  await grantAt(db, 'repaid', start, { key: 'third', amount: 20 }); // entry 8 repays
  // 5 are still owed: the refund lowers that first.
  expect(await refund('repaid', '1', 12)).toMatchObject({ balance: 7, available: 57, repaid: 0 });
  expect(await refund('repaid', '2', 20)).toMatchObject({ balance: 27, available: 77, repaid: 0 });
  expect(await refund('repaid', '3')).toMatchObject({ amount: 18, balance: 45, available: 95 });
  expect(await refunds('repaid')).toEqual([
    [5, null, 3, null],
    [7, 3, 3, 8],
    [13, 3, 3, 8],
    [7, 2, 3, 5],
    [8, 2, 3, 5],
    [10, 1, 2, null],
  ]);
  const grants = `select grant_id, remaining from credits_private.remainders where account_id = 'repaid'
    order by grant_id`;
  expect((await db.query(grants)).map(({ remaining }) => remaining)).toEqual([10, 15, 20]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a refund of debt that a since expired grant repaid comes back as a new grant', async () => {
  await indebted('expired');
  const grant = { amount: 25, priority: 7, expires: start + DAY };
  await grantAt(db, 'expired', start, { key: 'second', ...grant });
  await grantAt(db, 'expired', start, { key: 'third', amount: 15 });
  await refund('expired', 'refund', 30, start + DAY);
  expect(await refunds('expired')).toEqual([
    [15, 3, 3, 8],
    [15, 4, 3, 5],
  ]);
  expect(
    await db.one(
      `select source, priority, origin_grant_id, amount, remaining,
         expires_at = effective_at + interval '720 hours' as in_30_days
       from credits_private.remainders where account_id = 'expired' and grant_id = 4`,
    ),
  ).toEqual({
    source: 'refund',
    priority: 7,
    origin_grant_id: 2,
    amount: 15,
    remaining: 15,
    in_30_days: true,
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('a refund to a grant repays what other deductions still owe', async () => {
  await indebted('others');
  await grantAt(db, 'others', start, { key: 'second', amount: 40 }); // repays all
  const { transaction_id } = await deductAt(db, 'others', start, { key: 'again', amount: 30 });
  // The refund lowers the 30 that are owed now; 10 go back, and there is nothing left to repay.
  expect(await refund('others', 'part', 40)).toMatchObject({ balance: 10, repaid: 0 });
  expect(await refunds('others')).toEqual([
    [30, null, 3, null],
    [10, 2, 3, 5],
  ]);
  // Nothing of the later one is owed any more, so it goes back to the grant, too.
  const later = { key: 'later', transaction: transaction_id };
  expect(await refundAt(db, 'others', start, later)).toMatchObject({ amount: 30, balance: 40 });
  expect((await refunds('others')).slice(2)).toEqual([[30, 2, transaction_id, 5]]);
  expect(await discrepancies(db)).toEqual([]);
});

test('two parts of one capture that were debt share what is owed, and what repaid them', async () => {
  await grantAt(db, 'capture', start, { key: 'grant', amount: 1 });
  await deductAt(db, 'capture', start, { key: 'spent', amount: 1 });
  await overdraftAt(db, 'capture', start, 50);
  await holdAt(db, 'capture', start, { key: 'hold', amount: 10 });
  const capture = { key: 'capture', hold: 1, amount: 25 }; // 10 that were held, and 15 more
  const { transaction_id } = await captureAt(db, 'capture', start, capture);
  await grantAt(db, 'capture', start, { key: 'next', amount: 8 }); // entry 6 repays
  await grantAt(db, 'capture', start, { key: 'then', amount: 10 }); // entry 9 repays, 7 are owed
  const all = { key: 'refund', transaction: transaction_id };
  expect(await refundAt(db, 'capture', start, all)).toMatchObject({ amount: 25, balance: 18 });
  expect(await refunds('capture')).toEqual([
    [7, null, 4, null],
    [8, 3, 4, 9],
    [2, 3, 3, 9],
    [8, 2, 3, 6],
  ]);
  expect(await figuresAt(db, 'capture', start)).toMatchObject({ available: 68, debt: 0 });
  expect(await discrepancies(db)).toEqual([]);
});
