import { expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { discrepancies, findings, findingsOf, tamper } from '../support/discrepancies.ts';
import { writeHistory } from '../support/history.ts';

const db = useDatabase();

test('after any history, the balance is what remains of all grants, less the debt', async () => {
  await Promise.all([5, 6, 7, 8].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const accounts = await db.query(
    `select r.balance, r.debt, sum(g.remaining)::bigint as remaining
     from credits.remaining as r
     join credits_private.remainders as g using (account_id)
     group by r.account_id, r.balance, r.debt`,
  );
  expect(accounts).toHaveLength(4);
  expect(accounts.some(({ debt }) => debt > 0)).toBe(true);
  for (const { balance, debt, remaining } of accounts) expect(balance).toBe(remaining - debt);
  expect(await discrepancies(db)).toEqual([]);
});

test('a balance and a grant that were changed apart are found', async () => {
  const change = `update credits_private.accounts set balance = 0 where account_id = 'broken'`;
  expect(await findingsOf('accounts', change)).toEqual([
    ['balance_equals_grants_less_debt', 'balance', '95', '0'],
    ['balance_equals_ledger', 'balance', '95', '0'],
  ]);
});

test('a balance and a grant that were changed alike still differ from the ledger', async () => {
  const found = await findings(async (broken) => {
    const where = `where account_id = 'broken'`;
    await tamper(broken, 'accounts', `update credits_private.accounts set balance = 90 ${where}`);
    await tamper(
      broken,
      'grants',
      `update credits_private.grants set remaining = 90 ${where} and grant_id = 1`,
    );
  });
  expect(found).toEqual([
    ['balance_equals_ledger', 'balance', '95', '90'],
    ['grants_equal_ledger', 'grant 1', '95', '90'],
  ]);
});
