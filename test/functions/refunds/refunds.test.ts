import { beforeEach, expect, test } from 'vitest';
import { type Arguments, callAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

const db = useDatabase();

let account: string;
const at = (time: string, name: string, args: Arguments) =>
  callAt(db, name, time, {
    p_account_id: account,
    ...(name === 'settle_account' ? {} : { p_idempotency_key: unique() }),
    ...args,
  });
const refund = (time: string, amount: number | null, transaction = 4) =>
  at(time, 'refund_credits', { p_transaction_id: transaction, p_amount: amount });

const refundEntries = async () =>
  (
    await db.query(
      `select grant_id, amount, refunded_entry_id from credits.entries
       where account_id = $1 and kind = 'refund' order by entry_id`,
      [account],
    )
  ).map((row) => [row.grant_id, row.amount, row.refunded_entry_id]);

// Three grants of 10; a deduction of 25 draws 10, 10 and 5 of them, in the entries 4, 5 and 6.
beforeEach(async () => {
  account = unique('account');
  for (let i = 0; i < 3; i += 1) await at('2024-01-01Z', 'grant_credits', { p_amount: 10 });
  await at('2024-01-02Z', 'deduct_credits', {
    p_amount: 25,
    p_api_key_id: 'key',
    p_operation: 'search',
    p_run_id: 'run',
  });
});

test('a refund goes back in reverse order of drawing, part by part, until nothing is left', async () => {
  expect(await refund('2024-01-03Z', 7)).toMatchObject({ amount: 7, balance: 12, available: 12 });
  expect(await refundEntries()).toEqual([
    [3, 5, 6],
    [2, 2, 5],
  ]);
  expect(await refund('2024-01-03Z', 10)).toMatchObject({ amount: 10, balance: 22 });
  expect((await refundEntries()).slice(2)).toEqual([
    [2, 8, 5],
    [1, 2, 4],
  ]);
  expect(await refund('2024-01-03Z', null)).toMatchObject({ amount: 8, balance: 30 });
  expect((await refundEntries()).slice(4)).toEqual([[1, 8, 4]]);
  for (const amount of [null, 1]) {
    const error = await raised(refund('2024-01-03Z', amount));
    expect(error).toMatchObject({ code: 'PT409', detail: { refundable: 0 } });
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('a refund of the whole is one transaction, and its grants can be spent again', async () => {
  expect(await refund('2024-01-03Z', null)).toMatchObject({ transaction_id: 7, amount: 25 });
  expect(
    await db.one(
      `select kind, amount, balance_after, refunded_transaction_id, api_key_id, operation, run_id
       from credits.transactions where account_id = $1 and transaction_id = 7`,
      [account],
    ),
  ).toEqual({
    kind: 'refund',
    amount: 25,
    balance_after: 30,
    refunded_transaction_id: 4,
    api_key_id: 'key',
    operation: 'search',
    run_id: 'run',
  });
  const again = await at('2024-01-04Z', 'deduct_credits', { p_amount: 30 });
  expect(again).toMatchObject({ balance: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a refund goes to the grants it came from, though today another would come first', async () => {
  await at('2024-01-03Z', 'grant_credits', { p_amount: 10, p_priority: 1 });
  await refund('2024-01-04Z', 12);
  expect(await refundEntries()).toEqual([
    [3, 5, 6],
    [2, 7, 5],
  ]);
});

test('a refund of an entry within a transaction is refused: it is no transaction of its own', async () => {
  expect(await raised(refund('2024-01-03Z', 1, 5))).toMatchObject({ code: 'PT404' });
});

test('a refund lowers the net usage of the API key and operation of its deduction', async () => {
  await at('2024-01-03Z', 'deduct_credits', { p_amount: 1, p_api_key_id: 'other' });
  await refund('2024-01-04Z', 7);
  const expected = [
    { api_key_id: 'key', operation: 'search', used: 25, refunded: 7, net_used: 18, calls: 1 },
    { api_key_id: 'other', operation: null, used: 1, refunded: 0, net_used: 1, calls: 1 },
  ];
  for (const view of ['usage', 'invoice_lines']) {
    const rows = await db.query(
      `select api_key_id, operation, credits_used as used, credits_refunded as refunded, net_used,
         calls
       from credits.${view} where account_id = $1 order by api_key_id`,
      [account],
    );
    expect(rows).toEqual(expected);
  }
});

test('a refund in a later period lowers the net usage of that one, and leaves the closed one alone', async () => {
  const invoices = () =>
    db.query(
      `select period, opening_balance, credits_used, credits_refunded, closing_balance, net_used,
         calls, is_open
       from credits.invoice where account_id = $1 order by period`,
      [account],
    );
  await at('2024-02-01Z', 'settle_account', {});
  const [january] = await invoices();
  expect(january).toMatchObject({ period: '2024-01-01', net_used: 25, is_open: false });
  await at('2024-02-10Z', 'deduct_credits', { p_amount: 2 });
  await refund('2024-02-11Z', 20);
  expect(await invoices()).toEqual([
    january,
    {
      period: '2024-02-01',
      opening_balance: 5,
      credits_used: 2,
      credits_refunded: 20,
      closing_balance: 23,
      net_used: -18,
      calls: 1,
      is_open: false,
    },
  ]);
  expect(await discrepancies(db)).toEqual([]);
});
