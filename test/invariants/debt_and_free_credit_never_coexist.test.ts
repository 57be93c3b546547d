import { expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  overdraftAt,
  refundAt,
  releaseAt,
  revokeAt,
  settleAt,
} from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { discrepancies, findings, tamper } from '../support/discrepancies.ts';
import { writeHistory } from '../support/history.ts';
import { DAY, moment, us } from '../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');

/** What is free and unscoped of an account at a moment, settled or not, and what it owes. */
async function freeAndDebt(account: string, at: number): Promise<[free: number, debt: number]> {
  const { free, debt } = await db.one(
    `select (select coalesce(sum(c.free), 0)
       from credits_private.free_credit($1, $2, array(
         select e from credits_private.unbooked_effects(row(a.*)::credits_private.account, $2) as e
       )) as c
       where c.operations is null)::bigint as free, f.debt
     from credits_private.figures($1, null, $2) as f
     left join credits_private.accounts as a on a.account_id = $1`,
    [account, moment(at)],
  );
  return [free, debt];
}

test.each([1, 3, 4])(
  'at no moment of any history, settled or not, are there debt and free credit (%i)',
  async (seed) => {
    const account = `history ${seed}`;
    let owed = 0;
    const neverBoth = async (at: number) => {
      const [free, debt] = await freeAndDebt(account, at);
      expect(Math.min(free, debt), `${moment(at)}: ${free} and ${debt}`).toBe(0);
      owed = Math.max(owed, debt);
    };
    let begun = false;
    const settle = async (from: number, to: number) => {
      if (begun) for (const at of [Math.floor((from + to) / 2), to]) await neverBoth(at);
      begun = true; // the first call opens the account
    };
    await neverBoth(await writeHistory(db, account, seed, { steps: 80, settle }));
    expect(owed).toBeGreaterThan(0);
    expect(await discrepancies(db, account)).toEqual([]);
  },
);

/** 20 are owed; of a grant, 10 are held and the rest is spent, in transaction 2 and by a capture. */
async function indebted(account: string): Promise<void> {
  await grantAt(db, account, start, { key: 'grant', amount: 40 });
  await overdraftAt(db, account, start, 60);
  await deductAt(db, account, start, { key: 'deduct', amount: 10 });
  await holdAt(db, account, start, { key: 'hold', amount: 20, expiresIn: '1 day' });
  await captureAt(db, account, start, { key: 'capture', hold: 1, amount: 10, final: false });
  await deductAt(db, account, start, { key: 'owed', amount: 30 });
}
const ways: [string, (account: string, key: string) => Promise<unknown>][] = [
  ['a grant', (account, key) => grantAt(db, account, start, { key, amount: 5 })],
  ['a release', (account, key) => releaseAt(db, account, start, { key, hold: 1 })],
  [
    'a capture of less',
    (account, key) => captureAt(db, account, start, { key, hold: 1, amount: 1 }),
  ],
  ['the end of a hold', (account) => settleAt(db, account, start + DAY)],
  ['a refund', (account, key) => refundAt(db, account, start, { key, transaction: 2 })],
  [
    'a scheduled grant',
    async (account, key) => {
      await grantAt(db, account, start, { key, amount: 5, effective: start + DAY / 2 });
      await settleAt(db, account, start + DAY / 2);
    },
  ],
];
test.each(ways)('what %s frees repays debt in the same call', async (way, free) => {
  await indebted(way);
  expect(await freeAndDebt(way, start)).toEqual([0, 20]);
  await free(way, 'free');
  const { debt, repaid } = await db.one(
    `select debt, (select sum(amount)::bigint from credits.entries as e
       where e.account_id = a.account_id and kind = 'repay' and grant_id is null) as repaid
     from credits_private.accounts as a where account_id = $1`,
    [way],
  );
  expect(debt + repaid).toBe(20);
  expect(repaid).toBeGreaterThan(0);
  expect(await discrepancies(db)).toEqual([]);
});

test('debt that comes to an account with free credit is repaid in the same call', async () => {
  await grantAt(db, 'revoked', start, { key: 'spent', amount: 10 });
  await deductAt(db, 'revoked', start, { key: 'deduct', amount: 10 });
  await grantAt(db, 'revoked', start, { key: 'free', amount: 4 });
  await revokeAt(db, 'revoked', start, { key: 'debt', grant: 1, onSpent: 'debt' });
  expect(await freeAndDebt('revoked', start)).toEqual([0, 6]);
  expect(await discrepancies(db)).toEqual([]);
});

test('free credit beside debt is found; what is scoped or held is not free', async () => {
  const found = await findings(async (broken) => {
    for (const account of ['broken', 'healthy']) {
      const day = us('2024-03-10T00:00:00Z');
      await overdraftAt(broken, account, day, 50);
      await holdAt(broken, account, day, { key: 'hold', amount: 9, expiresIn: '3650 days' });
      await grantAt(broken, account, day, { key: 's', amount: 10, operations: ['search'] });
      await deductAt(broken, account, day, { key: 'owed', amount: 100 });
    }
    const change = `update credits_private.grants set operations = null
      where account_id = 'broken' and grant_id = 3`;
    await tamper(broken, 'grants', change);
  });
  expect(found).toEqual([
    expect.arrayContaining(['a_key_has_one_answer', 'key s']),
    ['debt_and_free_credit_never_coexist', 'free credit beside a debt of 14', '0', '10'],
  ]);
});
