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
import { entriesOf, figuresAt, partsOf } from '../../support/ledger.ts';
import { HOUR, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');
const capture = (account: string, amount: number, key = `${amount}`, final = true, hold = 1) =>
  captureAt(db, account, start + 1, { key, hold, amount, final });
const holdOf = (account: string, hold = 1) =>
  db.one('select state, held, captured from credits.holds where account_id = $1 and hold_id = $2', [
    account,
    hold,
  ]);

test('a final capture of less frees the rest, which the next deduction can take', async () => {
  await grantAt(db, 'less', start, { key: 'grant', amount: 10 });
  await holdAt(db, 'less', start, { key: 'hold', amount: 10 });
  expect(await capture('less', 3)).toMatchObject({ amount: 3, balance: 7, available: 7, held: 0 });
  expect(await holdOf('less')).toEqual({ state: 'captured', held: 0, captured: 3 });
  await deductAt(db, 'less', start + 2, { key: 'deduct', amount: 7 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a final capture of 0 is a release, without a transaction, and no call', async () => {
  await grantAt(db, 'nothing', start, { key: 'grant', amount: 10 });
  await holdAt(db, 'nothing', start, { key: 'hold', amount: 6 });
  const answer = await capture('nothing', 0);
  expect(answer).toMatchObject({ transaction_id: null, amount: 0, balance: 10, available: 10 });
  expect(answer).toMatchObject({ held: 0, replayed: false });
  expect(await holdOf('nothing')).toEqual({ state: 'released', held: 0, captured: 0 });
  expect(await entriesOf(db, 'nothing', 2)).toEqual([]);
  expect(await db.query(`select from credits.usage where account_id = 'nothing'`)).toEqual([]);
  expect(await raised(capture('nothing', 1))).toMatchObject({
    code: 'PT410',
    detail: { state: 'released' },
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('a capture of more than is held draws the excess in burn-down order, as the hold’s own', async () => {
  await grantAt(db, 'more', start, { key: 'first', amount: 10 });
  const call = { apiKey: 'key a', operation: 'search', run: 'run 7' };
  await holdAt(db, 'more', start, { key: 'hold', amount: 10, ...call });
  await grantAt(db, 'more', start, { key: 'last', amount: 5, priority: 200 });
  const scoped = { key: 'scoped', amount: 4, operations: ['search'] };
  await grantAt(db, 'more', start, scoped);
  await grantAt(db, 'more', start, { key: 'other', amount: 50, operations: ['other'] });
  await grantAt(db, 'more', start, { key: 'soon', amount: 3, expires: start + HOUR });
  expect(await capture('more', 20)).toMatchObject({ amount: 20, balance: 52, available: 2 });
  expect(await entriesOf(db, 'more', 6)).toEqual([
    ['capture', -10, 1], // what it held, first
    ['capture', -4, 3],
    ['capture', -3, 5],
    ['capture', -3, 2],
  ]);
  const entries = await db.query(
    `select distinct transaction_id, api_key_id, operation, run_id, hold_id from credits.entries
     where account_id = 'more' and kind = 'capture'`,
  );
  const ids = { api_key_id: 'key a', operation: 'search', run_id: 'run 7', hold_id: 1 };
  expect(entries).toEqual([{ transaction_id: 6, ...ids }]);
  expect(await discrepancies(db)).toEqual([]);
});

test('an excess that is not available fails the capture whole, and says what there was', async () => {
  await grantAt(db, 'whole', start, { key: 'grant', amount: 10 });
  await grantAt(db, 'whole', start, { key: 'other', amount: 50, operations: ['other'] });
  await holdAt(db, 'whole', start, { key: 'hold', amount: 7, operation: 'search' });
  for (const final of [true, false]) {
    expect(await raised(capture('whole', 11, `${final}`, final))).toMatchObject({
      code: 'PT402',
      constraint: 'available_is_never_negative',
      detail: {
        account_id: 'whole',
        hold_id: 1,
        operation: 'search',
        requested: 11,
        available: 10,
        invariant: 'available_is_never_negative',
      },
    });
  }
  expect(await entriesOf(db, 'whole', 3)).toEqual([]);
  expect(await figuresAt(db, 'whole', start + 1)).toMatchObject({ held: 7, available: 3 });
  expect(await capture('whole', 10)).toMatchObject({ balance: 50, available: 0, held: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('the excess of a capture does not touch what another hold has reserved', async () => {
  await grantAt(db, 'two', start, { key: 'grant', amount: 10 });
  await holdAt(db, 'two', start, { key: 'hold 1', amount: 4 });
  await holdAt(db, 'two', start, { key: 'hold 2', amount: 5 });
  const error = await raised(capture('two', 6));
  expect(error).toMatchObject({ code: 'PT402', detail: { requested: 6, available: 5 } });
  expect(await capture('two', 5)).toMatchObject({ balance: 5, available: 0 });
  expect(await capture('two', 5, 'other', true, 2)).toMatchObject({ balance: 0, available: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a capture that is not final may exceed too, and leaves an open hold with nothing held', async () => {
  await grantAt(db, 'on', start, { key: 'grant', amount: 10 });
  await holdAt(db, 'on', start, { key: 'hold', amount: 4 });
  const answer = await capture('on', 6, 'part', false);
  expect(answer).toMatchObject({ amount: 6, balance: 4, available: 4, held: 0 });
  expect(await figuresAt(db, 'on', start + 1)).toMatchObject({ held: 0, available: 4 });
  expect(await capture('on', 3, 'final')).toMatchObject({ balance: 1, available: 1, held: 0 });
  expect(await partsOf(db, 'on')).toEqual([
    [1, 1, 4],
    [1, 1, -4],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('the excess of a capture draws on the overdraft last, down to its limit and no further', async () => {
  await grantAt(db, 'overdrawn', start, { key: 'grant', amount: 10 });
  await overdraftAt(db, 'overdrawn', start, 5);
  await holdAt(db, 'overdrawn', start, { key: 'hold', amount: 8 });
  const error = await raised(capture('overdrawn', 16));
  expect(error).toMatchObject({ code: 'PT402', detail: { requested: 16, available: 15 } });
  expect(await capture('overdrawn', 15)).toMatchObject({ balance: -5, available: 0 });
  expect(await entriesOf(db, 'overdrawn', 2)).toEqual([
    ['capture', -8, 1],
    ['capture', -2, 1],
    ['capture', -5, null],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a capture of reserved overdraft is debt, which credit that came since repays', async () => {
  await grantAt(db, 'debt', start, { key: 'grant', amount: 10 });
  await overdraftAt(db, 'debt', start, 5);
  await holdAt(db, 'debt', start, { key: 'hold', amount: 14 });
  await grantAt(db, 'debt', start, { key: 'later', amount: 3 });
  expect(await capture('debt', 13)).toMatchObject({ balance: 0, available: 5, held: 0 });
  expect(await entriesOf(db, 'debt', 3)).toEqual([
    ['capture', -10, 1],
    ['capture', -3, null],
    ['repay', -3, 2],
    ['repay', 3, null],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a capture can be refunded in parts, in reverse order of drawing, and not one credit more', async () => {
  await grantAt(db, 'refund', start, { key: 'first', amount: 10 });
  await grantAt(db, 'refund', start, { key: 'second', amount: 10 });
  const hold = { key: 'hold', amount: 15, apiKey: 'key a', operation: 'search' };
  await holdAt(db, 'refund', start, hold);
  const { transaction_id: part } = await capture('refund', 12, 'part', false);
  const { transaction_id: final } = await capture('refund', 5, 'final');
  const refund = (transaction: number, amount: number | null, key: string) =>
    refundAt(db, 'refund', start + 2, { key, transaction, amount });
  expect(await refund(part, 4, '1')).toMatchObject({ amount: 4, balance: 7, available: 7 });
  expect(await refund(part, null, '2')).toMatchObject({ amount: 8, balance: 15 });
  expect(await refund(final, null, '3')).toMatchObject({ amount: 5, balance: 20 });
  for (const transaction of [part, final]) {
    expect(await raised(refund(transaction, 1, `more ${transaction}`))).toMatchObject({
      code: 'PT409',
      constraint: 'refunds_never_exceed_the_original',
      detail: { requested: 1, refundable: 0 },
    });
  }
  expect(await entriesOf(db, 'refund', 7)).toEqual([
    ['refund', 2, 2],
    ['refund', 2, 1],
    ['refund', 8, 1],
    ['refund', 2, 2],
    ['refund', 3, 2],
  ]);
  const figures = { credits_used: 17, credits_refunded: 17, net_used: 0, calls: 1 };
  for (const view of ['usage', 'invoice_lines']) {
    const usage = await db.query(
      `select api_key_id, operation, credits_used, credits_refunded, net_used, calls
       from credits.${view} where account_id = 'refund'`,
    );
    expect(usage).toEqual([{ api_key_id: 'key a', operation: 'search', ...figures }]);
  }
  // What was captured stays what was captured.
  expect(await holdOf('refund')).toEqual({ state: 'captured', held: 0, captured: 17 });
  expect(await discrepancies(db)).toEqual([]);
});
