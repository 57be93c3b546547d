import { expect, test } from 'vitest';
import { deductAt, overdraftAt } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findings, findingsOf, tamper } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { insertEntry } from '../support/ledger.ts';
import { us } from '../support/time.ts';

const db = useDatabase();

const sums = () =>
  db.query(
    `select a.account_id, a.balance, coalesce(sum(e.amount), 0)::bigint as ledger
     from credits_private.accounts as a
     left join credits_private.entries as e on e.account_id = a.account_id
     group by a.account_id, a.balance`,
  );

test('after any history, the balance of an account is the sum of its entries', async () => {
  await Promise.all([1, 2, 3, 4].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  for (const { balance, ledger } of await sums()) expect(balance).toBe(ledger);
  expect(await discrepancies(db)).toEqual([]);
});

test('callers on many connections leave a balance that is the sum of the entries', async () => {
  await db.query(`select credits.grant_credits('busy', 100, 'grant')`);
  const call = (n: number) =>
    db.query(`select credits.deduct_credits('busy', $1::int, 'call ' || $1::int)`, [n]);
  await Promise.all([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(call));
  expect(await sums()).toContainEqual({ account_id: 'busy', balance: 45, ledger: 45 });
  expect(await discrepancies(db, 'busy')).toEqual([]);
});

test('an entry that does not lead to the balance after it is refused, to the owner too', async () => {
  await writeSample(db, 'sample');
  const error = await raised(insertEntry(db, 'sample', { amount: -1, balance_after: 95 }));
  expect(error).toMatchObject({
    code: '23514',
    constraint: 'balance_equals_ledger',
    detail: { account_id: 'sample', entry_id: 9, invariant: 'balance_equals_ledger' },
  });
  await insertEntry(db, 'sample', { amount: -1, balance_after: 94 });
  expect(await sums()).toContainEqual({ account_id: 'sample', balance: 94, ledger: 94 });
});

test('a balance that was changed by hand is found', async () => {
  const change = `update credits_private.accounts set balance = 96 where account_id = 'broken'`;
  expect(await findingsOf('accounts', change)).toEqual([
    ['balance_equals_grants_less_debt', 'balance', '95', '96'],
    ['balance_equals_ledger', 'balance', '95', '96'],
  ]);
});

test('a debt that was changed by hand is found', async () => {
  const change = `update credits_private.accounts set debt = 1 where account_id = 'broken'`;
  expect(await findingsOf('accounts', change)).toEqual([
    ['balance_equals_grants_less_debt', 'balance', '94', '95'],
    ['balance_equals_ledger', 'debt', '0', '1'],
    ['debt_and_free_credit_never_coexist', 'free credit beside a debt of 1', '0', '95'],
  ]);
});

test('an entry of debt that was moved to a grant is found in both sums', async () => {
  const found = await findings(async (broken) => {
    const day = us('2024-03-10T00:00:00Z');
    for (const account of ['broken', 'healthy']) {
      await overdraftAt(broken, account, day, 5);
      await deductAt(broken, account, day, { key: 'owed', amount: 100 });
    }
    const change = `update credits_private.entries set grant_id = 2
      where account_id = 'broken' and grant_id is null`;
    await tamper(broken, 'entries', change);
  });
  expect(found.filter(([invariant]) => /_equals?_ledger$/.test(invariant))).toEqual([
    ['balance_equals_ledger', 'debt', '0', '5'],
    ['grants_equal_ledger', 'grant 2', '-5', '0'],
  ]);
});
