import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { deductAt, grantAt, refundAt, settleAt } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findings, findingsOf, tamper } from '../support/discrepancies.ts';
import { writeHistory } from '../support/history.ts';
import { randomNumbers } from '../support/random.ts';
import { DAY, moment, us } from '../support/time.ts';

const db = useDatabase();
const day = (date: string) => us(`2024-${date}T00:00:00Z`);

const availableTo = async (account: string): Promise<number> =>
  (await db.one('select available from credits.remaining where account_id = $1', [account]))
    .available;

const deduct = (account: string, amount: number, key: string) =>
  db.one('select amount, available from credits.deduct_credits($1, $2, $3)', [
    account,
    amount,
    key,
  ]);

/** One more than is available is refused, all of it is not. */
async function expectSpendable(account: string): Promise<number> {
  const available = await availableTo(account);
  const error = await raised(deduct(account, available + 1, 'one more'));
  expect(error).toMatchObject({
    code: 'PT402',
    constraint: 'available_is_never_negative',
    detail: { account_id: account, requested: available + 1, available },
  });
  if (available > 0) {
    expect(await deduct(account, available, 'all')).toEqual({ amount: available, available: 0 });
  }
  expect(await availableTo(account)).toBe(0);
  return available;
}

async function lastExpiryPasses(): Promise<void> {
  const passed = `select clock_timestamp() >= max(expires_at) as yes from credits_private.grants
    where expires_at < clock_timestamp() + '1 minute'`;
  while (!(await db.one(passed)).yes) await sleep(10);
}

test('after any history, exactly what remains is available can be deducted', async () => {
  for (const seed of [11, 12, 13, 14, 15]) {
    const account = `history ${seed}`;
    await writeHistory(db, account, seed);
    await db.query(
      `select credits.grant_credits($1, $2, 'tomorrow', p_priority => 1,
         p_expires_at => clock_timestamp() + '1 day')`,
      [account, seed],
    );
    expect(await expectSpendable(account)).toBeGreaterThanOrEqual(seed);
  }
  expect(await discrepancies(db)).toEqual([]);
});

/** At a moment for which nothing has been settled; nothing of the call is kept. */
async function expectSpendableAt(
  client: pg.Client,
  account: string,
  at: number,
  operation: string | null = null,
) {
  const figures = 'select available::int from credits_private.figures($1, $2, $3)';
  const { rows } = await client.query(figures, [account, operation, moment(at)]);
  const { available } = rows[0];
  const deduct = async (amount: number) => {
    await client.query('begin');
    const deducted = deductAt(client, account, at, { key: 'exactly', amount, operation });
    return deducted.finally(() => client.query('rollback'));
  };
  if (available > 0) await deduct(available);
  expect(await raised(deduct(available + 1))).toMatchObject({
    code: 'PT402',
    detail: { requested: available + 1, available },
  });
}

test.each([201, 202, 203, 204, 205, 206])(
  'at any moment of any history, settled or not, exactly what is available can be deducted (seed %i)',
  async (seed) => {
    const { below, pick } = randomNumbers(seed);
    const account = `moments ${seed}`;
    const client = await db.connect();
    const end = await writeHistory(db, account, seed, {
      steps: 80,
      settle: async (from, to) => {
        if (from === us('2024-01-20T00:00:00Z')) return; // before the account was opened
        await expectSpendableAt(client, account, to, pick(null, null, 'search', 'other'));
        await expectSpendableAt(client, account, from + below(to - from + 1));
      },
    });
    for (const days of [1, 5, 20, 60]) await expectSpendableAt(client, account, end + days * DAY);
    await client.end();
    expect(await discrepancies(db, account)).toEqual([]);
  },
);

test('exactly what is available can be deducted while an expiry is not settled', async () => {
  const { below, pick } = randomNumbers(21);
  const accounts = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const account of accounts) {
    for (const n of [1, 2, 3]) {
      await db.query(
        `select credits.grant_credits($1, $2, $3, p_priority => $4, p_operations => $5)`,
        [account, 1 + below(50), `${n}`, pick(1, 9), pick(null, ['op'])],
      );
    }
    await db.query(
      `select credits.grant_credits($1, $2, 'soon', p_priority => $3,
         p_expires_at => clock_timestamp() + '1 s')`,
      [account, 1 + below(50), pick(1, 9)],
    );
  }
  await lastExpiryPasses();
  const unsettled = `select count(*) as n from credits_private.grants
    where account_id = any ($1) and is_open and expires_at < clock_timestamp()`;
  expect(await db.one(unsettled, [accounts])).toEqual({ n: accounts.length });
  for (const account of accounts) await expectSpendable(account);
  expect(await db.one(unsettled, [accounts])).toEqual({ n: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('what a scope adds is available to its operations and to no other', async () => {
  await db.query(`select credits.grant_credits('scoped', 5, '1', p_operations => '{search}')`);
  await db.query(`select credits.grant_credits('scoped', 3, '2')`);
  const figures = `select available, scoped, credits.available_for('scoped', 'search') as search,
    credits.available_for('scoped', 'other') as other from credits.remaining
    where account_id = 'scoped'`;
  expect(await db.one(figures)).toEqual({ available: 3, scoped: 5, search: 8, other: 3 });
  const search = (amount: number) =>
    db.query(`select credits.deduct_credits('scoped', $1, 's', p_operation => 'search')`, [amount]);
  expect(await raised(search(9))).toMatchObject({ code: 'PT402', detail: { available: 8 } });
  await search(8);
  expect(await db.one(figures)).toEqual({ available: 0, scoped: 0, search: 0, other: 0 });
});

test('credits refunded to a spent grant expire with it, and block no deduction then', async () => {
  await grantAt(db, 'again', day('01-10'), { key: '1', amount: 100, expires: day('02-20') });
  await grantAt(db, 'again', day('01-10'), { key: '2', amount: 30 });
  const { transaction_id } = await deductAt(db, 'again', day('01-20'), { key: '3', amount: 100 });
  await settleAt(db, 'again', day('02-01'));
  await refundAt(db, 'again', day('02-02'), { key: '4', transaction: transaction_id });
  expect(await discrepancies(db, 'again')).toEqual([]);
  const deducted = await deductAt(db, 'again', day('02-25'), { key: '5', amount: 30 });
  expect(deducted).toMatchObject({ amount: 30, balance: 0 });
});

test('an account that is due later than its first grant expires is found', async () => {
  const found = await findings(async (broken) => {
    const grant = { key: 'late', amount: 1, expires: day('03-20') };
    await grantAt(broken, 'broken', day('03-10'), grant);
    const change = `update credits_private.accounts set due_at = '2024-03-20 00:00:00.000001Z'
      where account_id = 'broken'`;
    await tamper(broken, 'accounts', change);
  });
  expect(found).toEqual([
    ['available_is_spendable', 'due_at', '2024-03-20 00:00:00+00', '2024-03-20 00:00:00.000001+00'],
  ]);
});

test('an account that is due later than its period ends is found', async () => {
  const change = `update credits_private.accounts set due_at = 'infinity'
    where account_id = 'broken'`;
  expect(await findingsOf('accounts', change)).toEqual([
    ['available_is_spendable', 'due_at', '2024-04-01 00:00:00+00', 'infinity'],
  ]);
});

test('a grant with a rest that deductions do not see is found', async () => {
  const change = `update credits_private.grants set is_open = false
    where account_id = 'broken' and grant_id = 1`;
  expect(await findingsOf('grants', change)).toEqual([
    ['available_is_spendable', 'grant 1 is open', 'true', 'false'],
  ]);
});
