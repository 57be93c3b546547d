import { expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { asOwner, balanceOf, insertEntry } from '../support/ledger.ts';

const db = useDatabase();
const deduct = (account: string, amount: number, key: string) =>
  db.one('select * from credits.deduct_credits($1, $2, $3)', [account, amount, key]);

test('every deduction of a history, repeated, changes nothing and is answered', async () => {
  await writeHistory(db, 'once', 91, { steps: 120 });
  const entries = `select count(*) as n from credits.entries where account_id = 'once'`;
  const before = await db.one(entries);
  const replays = await db.query(
    `select r.transaction_id = t.transaction_id and r.amount = -t.amount
       and r.balance = t.balance_after and r.replayed as same
     from credits.transactions as t
     cross join lateral credits.deduct_credits(
       t.account_id, -t.amount, t.idempotency_key, t.api_key_id, t.operation) as r
     where t.account_id = 'once' and t.kind = 'deduction'`,
  );
  expect(replays.length).toBeGreaterThan(10);
  for (const { same } of replays) expect(same).toBe(true);
  expect(await db.one(entries)).toEqual(before);
  expect(await discrepancies(db)).toEqual([]);
});

test('a repeated call gets the answer of the first, whatever has happened since', async () => {
  const grant = `select * from credits.grant_credits('again', 10, 'grant')`;
  const refund = `select * from credits.refund_credits('again', 2, 'refund', 3)`;
  const granted = await db.one(grant);
  const deducted = await deduct('again', 8, 'call');
  const refunded = await db.one(refund);
  await deduct('again', 5, 'rest');
  expect(await db.one(grant)).toEqual({ ...granted, replayed: true });
  expect(await deduct('again', 8, 'call')).toEqual({ ...deducted, replayed: true, refunded: 3 });
  expect(await db.one(refund)).toEqual({ ...refunded, replayed: true });
  expect(deducted).toMatchObject({ amount: 8, balance: 2, available: 2, replayed: false });
  expect(await balanceOf(db, 'again')).toBe(0);
});

test('twenty connections with one key have one effect and one answer', async () => {
  await db.query(`select credits.grant_credits('race', 100, 'grant')`);
  const answers = await Promise.all(Array.from({ length: 20 }, () => deduct('race', 7, 'call')));
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
  const given = answers.map(({ transaction_id, balance }) => `${transaction_id} ${balance}`);
  expect(new Set(given)).toEqual(new Set(['2 93']));
  expect(await balanceOf(db, 'race')).toBe(93);
});

test.each([
  ['another amount', `credits.deduct_credits('keys', 2, 'call', 'k', 'o', 'r')`],
  ['another API key', `credits.deduct_credits('keys', 1, 'call', 'x', 'o', 'r')`],
  ['no run', `credits.deduct_credits('keys', 1, 'call', 'k', 'o')`],
  ['API key and operation exchanged', `credits.deduct_credits('keys', 1, 'call', 'o', 'k', 'r')`],
  ['another function', `credits.grant_credits('keys', 1, 'call')`],
  ['a refund', `credits.refund_credits('keys', 2, 'call', 1)`],
])('a key that is used again with %s is refused', async (_, call) => {
  await db.query(`select credits.grant_credits('keys', 100, 'grant'),
    credits.deduct_credits('keys', 1, 'call', 'k', 'o', 'r')`);
  expect(await raised(db.query(`select ${call}`))).toMatchObject({
    code: 'PT409',
    constraint: 'a_request_takes_effect_once',
    detail: {
      account_id: 'keys',
      idempotency_key: 'call',
      transaction_id: 2,
      invariant: 'a_request_takes_effect_once',
    },
  });
  expect(await balanceOf(db, 'keys')).toBe(99);
});

test.each([
  ['a hold', `credits.hold_credits($1, 1, 'call')`],
  ['a revocation that finds nothing to take', `credits.revoke_grant($1, 2, 'call')`],
])('the key of %s, which has no entry, is refused to a deduction', async (account, call) => {
  await db.query(
    `select credits.grant_credits($1, 9, 'grant'),
       credits.grant_credits($1, 3, 'spent', p_priority => 1)`,
    [account],
  );
  await deduct(account, 3, 'spend');
  await db.one(`select ${call}`, [account]);
  expect(await raised(deduct(account, 1, 'call'))).toMatchObject({
    code: 'PT409',
    constraint: 'a_request_takes_effect_once',
  });
});

test.each([
  ['update', `update credits_private.idempotency_keys set available = 9 where account_id = 'kept'`],
  ['delete', `delete from credits_private.idempotency_keys where account_id = 'kept'`],
  ['truncate', 'truncate credits_private.idempotency_keys'],
])('to %s idempotency keys is refused, to the owner too', async (change, statement) => {
  await db.query(`select credits.grant_credits('kept', 1, 'grant')`);
  expect(await raised(asOwner(db, statement))).toMatchObject({
    code: '23514',
    constraint: 'a_request_takes_effect_once',
    detail: { table: 'idempotency_keys', change, invariant: 'a_request_takes_effect_once' },
  });
});

test('a second row for a key is refused, to the owner too', async () => {
  await writeSample(db, 'sample');
  const again = `insert into credits_private.idempotency_keys
    select * from credits_private.idempotency_keys where account_id = 'sample'`;
  expect(await raised(asOwner(db, again))).toMatchObject({
    code: '23505',
    constraint: 'a_key_has_one_answer',
  });
});

test('a second deduction with a key is refused, to the owner too', async () => {
  await writeSample(db, 'twice');
  expect(await raised(insertEntry(db, 'twice', { idempotency_key: 'other' }))).toMatchObject({
    code: '23505',
    constraint: 'a_request_takes_effect_once',
  });
});

const key = (name: string) => `where account_id = 'broken' and idempotency_key = '${name}'`;

test('a key without its transaction is found', async () => {
  const found = await findingsOf(
    'entries',
    `update credits_private.entries set idempotency_key = null ${key('refund')}`,
  );
  expect(found).toEqual([
    ['a_request_takes_effect_once', 'key ', 'transaction ', 'transaction 5'],
    ['a_request_takes_effect_once', 'key refund', 'transaction 5', 'transaction '],
  ]);
});

test('a transaction whose key is missing, or belongs to another transaction, is found', async () => {
  const table = 'idempotency_keys';
  const missing = `delete from credits_private.${table} ${key('refund')}`;
  expect(await findingsOf(table, missing)).toEqual([
    ['a_request_takes_effect_once', 'key refund', 'transaction ', 'transaction 5'],
  ]);
  const moved = `update credits_private.${table} set transaction_id = 3 ${key('refund')}`;
  expect(await findingsOf(table, moved)).toEqual([
    ['a_key_has_one_answer', 'answer to key refund', '60', '20'],
    expect.arrayContaining(['a_key_has_one_answer', 'key refund']),
    ['a_request_takes_effect_once', 'key refund', 'transaction 3', 'transaction 5'],
  ]);
});

test('a deduction without its key is found', async () => {
  const forget = `update credits_private.entries set idempotency_key = null ${key('other')}`;
  expect(await findingsOf('entries', forget)).toEqual([
    ['a_request_takes_effect_once', 'key ', 'transaction ', 'transaction 8'],
  ]);
});

test('a key that an account has twice, of a deduction and of another call, is found', async () => {
  const twice = `insert into credits_private.idempotency_keys
      (account_id, idempotency_key, fingerprint, available, answer)
    values ('broken', 'other', '', 0, '{}')`;
  expect(await findingsOf('idempotency_keys', twice)).toEqual([
    ['a_request_takes_effect_once', 'key other', 'transaction ', 'transaction 8'],
    ['counters_change_only_with_the_ledger', 'has_keys', 'true', 'false'],
  ]);
});
