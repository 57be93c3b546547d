import { expect, test } from 'vitest';
import { deductAt, grantAt, overdraftAt, refundAt } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findings, findingsOf, tamper } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { balanceOf } from '../support/ledger.ts';
import { randomNumbers } from '../support/random.ts';
import { us } from '../support/time.ts';

const db = useDatabase();
const refund = (account: string, key: string, amount: number | null = null, transaction = 3) =>
  db.one('select amount, balance from credits.refund_credits($1, $2, $3, $4)', [
    account,
    transaction,
    key,
    amount,
  ]);
const refused = (account: string, requested: number | undefined, refundable: number) => ({
  code: 'PT409',
  constraint: 'refunds_never_exceed_the_original',
  detail: {
    account_id: account,
    transaction_id: 3,
    refundable,
    invariant: 'refunds_never_exceed_the_original',
    ...(requested === undefined ? {} : { requested }),
  },
});

/** 10 credits, 6 of one grant and 4 of another, as transaction 3. */
const deductTen = (account: string) =>
  db.query(
    `select credits.grant_credits($1, 6, 'grant 1', p_priority => 1),
       credits.grant_credits($1, 9, 'grant 2'), credits.deduct_credits($1, 10, 'call')`,
    [account],
  );

test('after any history, no deduction was refunded by more than it took', async () => {
  await Promise.all([1, 2, 3, 4].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const deductions = await db.query(
    `select -d.amount as amount, coalesce(sum(r.amount), 0)::bigint as refunded
     from credits.transactions as d
     left join credits.transactions as r
       on r.account_id = d.account_id and r.refunded_transaction_id = d.transaction_id
     where d.kind = 'deduction'
     group by d.account_id, d.transaction_id, d.amount`,
  );
  expect(deductions.some(({ refunded }) => refunded > 0)).toBe(true);
  for (const { amount, refunded } of deductions) expect(refunded).toBeLessThanOrEqual(amount);
  expect(await discrepancies(db)).toEqual([]);
});

test('parts can be refunded until nothing is left, and not one credit more', async () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const account = `parts ${seed}`;
    await deductTen(account);
    const { below } = randomNumbers(seed);
    let left = 10;
    for (let n = 1; left > 0; n += 1) {
      const more = await raised(refund(account, `more ${n}`, left + 1));
      expect(more).toMatchObject(refused(account, left + 1, left));
      const amount = 1 + below(left);
      left -= amount;
      expect(await refund(account, `${n}`, amount)).toEqual({ amount, balance: 15 - left });
    }
    expect(await raised(refund(account, 'one', 1))).toMatchObject(refused(account, 1, 0));
    expect(await raised(refund(account, 'rest'))).toMatchObject(refused(account, undefined, 0));
    const grants = await db.query(
      'select remaining from credits.grants where account_id = $1 order by grant_id',
      [account],
    );
    expect(grants).toEqual([{ remaining: 6 }, { remaining: 9 }]);
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('refunds of one deduction on many connections never exceed it', async () => {
  await deductTen('race');
  const calls = await Promise.allSettled(
    [1, 2, 3, 4, 5, 6, 7, 8].map((n) => refund('race', `${n}`, 3)),
  );
  expect(calls.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
  expect(await balanceOf(db, 'race')).toBe(14);
});

test.each([
  ['a grant', 1],
  ['a refund', 5],
  ['an expiry', 7],
])('%s cannot be refunded', async (name, transaction) => {
  await writeSample(db, name);
  const error = await raised(refund(name, 'again', 1, transaction));
  expect(error).toMatchObject({ code: 'PT409', constraint: 'refunds_never_exceed_the_original' });
});

test('a refund that was enlarged by hand is found', async () => {
  const change = `update credits_private.entries set amount = 11
    where account_id = 'broken' and entry_id = 5`;
  expect(await findingsOf('entries', change)).toEqual([
    ['a_key_has_one_answer', 'answer to key refund', '21', '20'],
    expect.arrayContaining(['a_key_has_one_answer', 'key refund']),
    ['balance_equals_ledger', 'balance', '96', '95'],
    ['entries_are_immutable', 'entry 5', '101', '100'],
    ['grants_equal_ledger', 'grant 1', '96', '95'],
    ['invoice_equals_balance_delta', 'period 2024-01-01', '110', '111'],
    ['refunds_never_exceed_the_original', 'entry 4', 'at most 10', '11'],
    [
      'usage_equals_ledger',
      'period 2024-01-01, api key key a, operation search',
      '(60,21,1)',
      '(60,20,1)',
    ],
  ]);
});

test('a refund of what is no deduction is found', async () => {
  const change = `update credits_private.entries set refunded_entry_id = 1
    where account_id = 'broken' and entry_id = 5`;
  expect(await findingsOf('entries', change)).toEqual([
    ['refunds_never_exceed_the_original', 'entry 1', 'at most 0', '10'],
    [
      'refunds_never_exceed_the_original',
      'what entry 5 gives back',
      'an entry, and its transaction',
      'entry 1, transaction 3',
    ],
  ]);
});

test('more that went back to a grant than it had repaid is found', async () => {
  const found = await findings(async (broken) => {
    const day = us('2024-03-10T00:00:00Z');
    for (const account of ['broken', 'healthy']) {
      await overdraftAt(broken, account, day, 9);
      await deductAt(broken, account, day, { key: 'owed', amount: 104 }); // entries 9 and 10
      await grantAt(broken, account, day, { key: 'repays', amount: 7 }); // entries 11, 12 and 13
      await refundAt(broken, account, day, { key: 'back', transaction: 9, amount: 8 });
    }
    await tamper(
      broken,
      'entries',
      `update credits_private.entries set amount = -5
       where account_id = 'broken' and entry_id = 12`,
    );
  });
  expect(found).toContainEqual([
    'refunds_never_exceed_the_original',
    'repayment 12',
    'at most 5',
    '6',
  ]);
});

test.each([
  ['the entry that it gives back', 'refunded_entry_id = null', 'entry -, transaction 3'],
  ['its transaction', 'refunded_transaction_id = null', 'entry 4, transaction -'],
  ['the right transaction', 'refunded_transaction_id = 1', 'entry 4, transaction 1'],
])('a refund that lost %s is found, as it could be made again', async (_, change, actual) => {
  const update = `update credits_private.entries set ${change}
    where account_id = 'broken' and entry_id = 5`;
  const found = await findingsOf('entries', update);
  const expected = 'an entry, and its transaction';
  const subject = 'what entry 5 gives back';
  expect(found).toContainEqual(['refunds_never_exceed_the_original', subject, expected, actual]);
});
