import { expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  refundAt,
  releaseAt,
  settleAt,
} from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { DAY, us } from '../../support/time.ts';

const db = useDatabase();
const january = us('2024-01-31T12:00:00Z');
const february = us('2024-02-01T00:00:00Z');

const invoices = (account: string) =>
  db.query(
    `select period, opening_balance, credits_used, credits_refunded, calls, closing_balance, is_open
     from credits.invoice where account_id = $1 order by period`,
    [account],
  );
const usage = async (account: string, view = 'usage') =>
  (
    await db.query(
      `select period, api_key_id, credits_used, credits_refunded, calls from credits.${view}
       where account_id = $1 order by period, api_key_id`,
      [account],
    )
  ).map((row) => Object.values(row));

test('a hold across the end of a period is captured in the periods of its captures', async () => {
  await grantAt(db, 'across', january, { key: 'grant', amount: 1000 });
  const hold = { key: 'hold', amount: 100, expiresIn: '3 days', apiKey: 'key a' };
  await holdAt(db, 'across', january, hold);
  const capture = (at: number, amount: number, final = false) =>
    captureAt(db, 'across', at, { key: `${amount}`, hold: 1, amount, final });
  await capture(january, 10);
  await capture(february - 1, 20);
  await settleAt(db, 'across', february);
  const [closed] = await invoices('across');
  expect(closed).toMatchObject({
    credits_used: 30,
    calls: 1,
    closing_balance: 970,
    is_open: false,
  });
  await capture(february, 30);
  await capture(february + DAY, 40, true);
  expect(await invoices('across')).toEqual([
    closed,
    {
      period: '2024-02-01',
      opening_balance: 970,
      credits_used: 70,
      credits_refunded: 0,
      calls: 0,
      closing_balance: 900,
      is_open: false,
    },
  ]);
  for (const view of ['usage', 'invoice_lines']) {
    expect(await usage('across', view)).toEqual([
      ['2024-01-01', 'key a', 30, 0, 1],
      ['2024-02-01', 'key a', 70, 0, 0],
    ]);
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('a capture of a hold of last period settles that one first, and leaves it closed', async () => {
  await grantAt(db, 'late', january, { key: 'grant', amount: 10 });
  await holdAt(db, 'late', january, { key: 'hold', amount: 6, expiresIn: '40 days' });
  await captureAt(db, 'late', february + 5 * DAY, { key: 'capture', hold: 1, amount: 6 });
  expect(await usage('late')).toEqual([['2024-02-01', null, 6, 0, 1]]);
  expect(await invoices('late')).toMatchObject([
    { period: '2024-01-01', credits_used: 0, closing_balance: 10, is_open: false },
    { period: '2024-02-01', credits_used: 6, closing_balance: 4, is_open: false },
  ]);
});

test('a refund of a capture lowers the period of the refund, not that of the capture', async () => {
  await grantAt(db, 'refund', january, { key: 'grant', amount: 10 });
  await holdAt(db, 'refund', january, { key: 'hold', amount: 6, apiKey: 'key a' });
  const capture = { key: 'capture', hold: 1, amount: 6 };
  const { transaction_id: transaction } = await captureAt(db, 'refund', january, capture);
  await refundAt(db, 'refund', february, { key: 'refund', transaction, amount: 4 });
  expect(await usage('refund')).toEqual([
    ['2024-01-01', 'key a', 6, 0, 1],
    ['2024-02-01', 'key a', 0, 4, 0],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a hold by itself is on no invoice: not held, not released, not expired', async () => {
  await grantAt(db, 'none', january, { key: 'grant', amount: 10 });
  const before = await invoices('none');
  for (const key of ['hold 1', 'hold 2']) await holdAt(db, 'none', january, { key, amount: 4 });
  await releaseAt(db, 'none', january, { key: 'release', hold: 1 });
  await settleAt(db, 'none', january + DAY / 2 - 1);
  expect(await invoices('none')).toEqual(before);
  expect(await usage('none')).toEqual([]);
});

test('calls count deductions, and each hold once, by its first capture, however many grants they draw on', async () => {
  for (const n of [1, 2, 3]) await grantAt(db, 'calls', january, { key: `${n}`, amount: 10 });
  for (const n of [1, 2, 3]) {
    await holdAt(db, 'calls', january, { key: `hold ${n}`, amount: 5, apiKey: `key ${n}` });
  }
  const capture = (hold: number, amount: number, final: boolean, key = `${hold} ${amount}`) =>
    captureAt(db, 'calls', january, { key, hold, amount, final });
  await capture(1, 1, false);
  await capture(1, 2, false);
  await capture(1, 12, true); // from three grants
  await capture(2, 3, false);
  await capture(2, 0, true); // a release
  await capture(3, 4, true);
  await capture(3, 4, true); // a replay
  await deductAt(db, 'calls', january, { key: 'deduct', amount: 6, apiKey: 'key 3' });
  const expected = [
    ['2024-01-01', 'key 1', 15, 0, 1],
    ['2024-01-01', 'key 2', 3, 0, 1],
    ['2024-01-01', 'key 3', 10, 0, 2],
  ];
  for (const view of ['usage', 'invoice_lines'])
    expect(await usage('calls', view)).toEqual(expected);
  expect(await invoices('calls')).toMatchObject([{ credits_used: 28, calls: 4 }]);
  expect(await discrepancies(db)).toEqual([]);
});
