import { beforeAll, expect, test } from 'vitest';
import { call } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';

const db = useDatabase();

interface Plan {
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Join Filter'?: number;
  Plans?: Plan[];
}

/** All rows that any node of a plan has read or thrown away. */
const rowsRead = (plan: Plan): number =>
  (plan['Actual Rows'] +
    (plan['Rows Removed by Filter'] ?? 0) +
    (plan['Rows Removed by Join Filter'] ?? 0)) *
    plan['Actual Loops'] +
  (plan.Plans ?? []).map(rowsRead).reduce((sum, rows) => sum + rows, 0);

async function cost(query: string, params: unknown[]): Promise<number> {
  const row = await db.one(`explain (analyze, format json) ${query}`, params);
  return rowsRead(row['QUERY PLAN'][0].Plan);
}

const page = `select * from credits.transactions where account_id = $1
  order by transaction_id desc limit 20`;
const nextPage = `select * from credits.transactions where account_id = $1 and transaction_id < $2
  order by transaction_id desc limit 20`;

// Two accounts; each has more than 5,000 entries. The table has statistics, as autovacuum gives it.
beforeAll(async () => {
  for (const account of ['acme', 'other']) {
    await call(db, 'grant_credits', {
      p_account_id: account,
      p_amount: 100_000,
      p_idempotency_key: 'grant',
    });
    await db.query(`
      do $$
      begin
        for i in 1..5000 loop
          perform credits.deduct_credits('${account}', 1, 'deduct ' || i);
          if i % 25 = 0 then
            commit;
          end if;
        end loop;
      end
      $$`);
  }
  await db.query('vacuum analyze');
});

test('the first page of transactions is read without the rest of the ledger', async () => {
  const rows = await db.query(page, ['acme']);
  expect(rows.map((row) => row.transaction_id)).toEqual(
    Array.from({ length: 20 }, (_, i) => 5001 - i),
  );
  expect(await cost(page, ['acme'])).toBeLessThan(300);
});

test('any later page of transactions, and a single one, are read without the rest of the ledger', async () => {
  expect(await db.query(nextPage, ['acme', 2500])).toHaveLength(20);
  expect(await cost(nextPage, ['acme', 2500])).toBeLessThan(300);
  const single = `select * from credits.transactions
    where account_id = $1 and transaction_id = $2`;
  expect(await db.query(single, ['acme', 77])).toMatchObject([{ amount: -1, transaction_id: 77 }]);
  expect(await cost(single, ['acme', 77])).toBeLessThan(20);
});

test('credits.remaining and credits.usage are read without the ledger at all', async () => {
  for (const view of ['remaining', 'usage', 'grants']) {
    const query = `select * from credits.${view} where account_id = $1`;
    expect(await cost(query, ['acme'])).toBeLessThan(50);
  }
});

test('a deduction, or its refund, reads no more for an account with a long ledger than for a new one', async () => {
  const grant = { p_account_id: 'new', p_amount: 10, p_idempotency_key: 'grant' };
  await call(db, 'grant_credits', grant);
  // The plans of the function's statements are not visible here; the blocks that they read are.
  const client = await db.connect();
  const blocks = async (call: string): Promise<number> => {
    const { rows } = await client.query(
      `explain (analyze, buffers, format json) select transaction_id from credits.${call}`,
    );
    const plan = rows[0]['QUERY PLAN'][0].Plan;
    return plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
  };
  const deduct = (account: string, key: string) =>
    blocks(`deduct_credits('${account}', 1, '${key}')`);
  const refund = (account: string, id: number) =>
    blocks(`refund_credits('${account}', ${id}, 'r${id}')`);
  await deduct('new', 'catalog caches are warm after this');
  const short = await deduct('new', 'measured');
  expect(await deduct('acme', 'measured')).toBeLessThan(2 * short + 50);
  await refund('new', 2);
  expect(await refund('acme', 77)).toBeLessThan(2 * (await refund('new', 3)) + 50);
});
