import { beforeAll, expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { asOwner, balanceOf, insertEntry } from '../support/ledger.ts';

const db = useDatabase();
beforeAll(() => writeSample(db, 'sample'));

test('after any history, the transactions are all of the balance and all of the entries', async () => {
  for (const seed of [7, 8, 9]) {
    const account = `history ${seed}`;
    await writeHistory(db, account, seed);
    const { sum, last } = await db.one(
      `select sum(t.amount)::bigint as sum,
         (array_agg(t.balance_after order by t.transaction_id desc))[1] as last
       from credits.transactions as t where t.account_id = $1`,
      [account],
    );
    expect(sum).toBe(await balanceOf(db, account));
    expect(last).toBe(sum);
    const entries = await db.query(
      `select e.entry_id from credits.entries as e where e.account_id = $1 and not exists (
         select from credits.transactions as t
         where t.account_id = e.account_id and t.transaction_id = e.transaction_id)`,
      [account],
    );
    expect(entries).toEqual([]);
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('each call writes one transaction, with its amount', async () => {
  const transactions = await db.query(
    `select transaction_id, kind, amount, balance_after, idempotency_key
     from credits.transactions where account_id = 'sample' order by transaction_id`,
  );
  expect(transactions.map((transaction) => Object.values(transaction))).toEqual([
    [1, 'grant', 100, 100, 'grant 1'],
    [2, 'grant', 50, 150, 'grant 2'],
    [3, 'deduction', -60, 90, 'search'],
    [5, 'refund', 20, 110, 'refund'],
    [7, 'expiry', -10, 100, null],
    [8, 'deduction', -5, 95, 'other'],
  ]);
});

test('a call that is rolled back leaves neither an entry nor a changed figure', async () => {
  const client = await db.connect();
  await client.query('begin');
  await client.query(`select credits.deduct_credits('sample', 5, 'rolled back')`);
  await client.query('rollback');
  expect(await balanceOf(db, 'sample')).toBe(95);
  expect(await discrepancies(db)).toEqual([]);
});

test.each([
  ['accounts', 'delete', 'delete from credits_private.accounts'],
  ['accounts', 'truncate', 'truncate credits_private.accounts cascade'],
  ['grants', 'delete', 'delete from credits_private.grants where grant_id = 2'],
  ['grants', 'truncate', 'truncate credits_private.grants cascade'],
])('no row of %s can be taken away, by the owner either: %s', async (table, change, statement) => {
  expect(await raised(asOwner(db, statement))).toMatchObject({
    code: '23514',
    constraint: 'every_change_has_an_entry',
    detail: { table, change, invariant: 'every_change_has_an_entry' },
  });
});

test.each([
  ['belongs to an earlier transaction', { transaction_id: 8 }],
  ['belongs to a later transaction', { transaction_id: 10 }],
  ['refunds nothing', { kind: 'refund', amount: 1 }],
  ['is a deduction that refunds', { refunded_entry_id: 8 }],
])('an entry that %s is refused, to the owner too', async (_, changes) => {
  expect(await raised(insertEntry(db, 'sample', changes))).toMatchObject({
    code: '23514',
    constraint: 'every_change_has_an_entry',
    detail: { account_id: 'sample', entry_id: 9, invariant: 'every_change_has_an_entry' },
  });
});

test.each([
  ['a grant that takes', { kind: 'grant', amount: -1 }],
  ['a deduction that gives', { kind: 'deduction', amount: 1 }],
  ['an entry of nothing', { amount: 0 }],
  ['an entry of no known kind', { kind: 'gift', amount: 1 }],
  ['a grant of no grant', { kind: 'grant', amount: 1, grant_id: null }],
  ['a refund that takes', { kind: 'refund', amount: -1, refunded_entry_id: 8 }],
  ['a capture without a hold', { kind: 'capture' }],
  ['a capture that gives', { kind: 'capture', amount: 1, hold_id: 1 }],
  ['an expiry that gives', { kind: 'expiry', amount: 1 }],
  ['an expiry of no grant', { kind: 'expiry', grant_id: null }],
  ['a revocation of no grant', { kind: 'revocation' }],
  ['a revocation that gives', { kind: 'revocation', amount: 1, revoked_grant_id: 1 }],
  ['a repayment into a grant', { kind: 'repay', amount: 1 }],
  ['a repayment that makes debt', { kind: 'repay', grant_id: null }],
  ['a repayment of nothing', { kind: 'repay', amount: 0 }],
])('%s is refused, to the owner too', async (_, changes) => {
  expect(await raised(insertEntry(db, 'sample', changes))).toMatchObject({
    code: '23514',
    constraint: 'every_change_has_an_entry',
  });
});

test('a grant without an entry is found', async () => {
  const grant = `insert into credits_private.grants
      (account_id, grant_id, amount, effective_at, created_at, priority, source)
    values ('broken', 3, 7, '2024-03-02Z', '2024-03-02Z', 100, 'purchase')`;
  expect(await findingsOf('grants', grant)).toEqual([
    ['counters_change_only_with_the_ledger', 'last_grant_id', '3', '2'],
    expect.arrayContaining(['entries_never_run_back_in_time', 'grants']),
    ['every_change_has_an_entry', 'grant 3', '7', '0'],
  ]);
});

test('a grant that says another amount than its entry is found', async () => {
  const change = `update credits_private.grants set amount = 101
    where account_id = 'broken' and grant_id = 1`;
  expect(await findingsOf('grants', change)).toEqual([
    expect.arrayContaining(['a_key_has_one_answer', 'key grant 1']),
    ['every_change_has_an_entry', 'grant 1', '101', '100'],
  ]);
});
