import { beforeAll, expect, test } from 'vitest';
import { batchAt, grantAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { us } from '../../support/time.ts';

// An account of more than 10,000 entries is read by ranges, any other as it lies.
const db = useDatabase();
const months = ['2024-01', '2024-02', '2024-03'];
const each = { long: 4000, other: 4000, short: 400 };

beforeAll(async () => {
  for (const [account, count] of Object.entries(each))
    for (const [n, month] of months.entries()) {
      const at = us(`${month}-15T00:00:00Z`);
      await grantAt(db, account, at, { key: `grant ${month}`, amount: 10_000 });
      const deductions = Array.from({ length: count }, (_, i) => ({
        account_id: account,
        amount: 1 + ((i + n) % 3),
        idempotency_key: `${month} ${i}`,
        api_key_id: i % 2 === 0 ? 'key' : null,
      }));
      await batchAt(db, at, deductions);
    }
  await db.query('analyze');
});

async function rowsRead(text: string): Promise<number> {
  const client = await db.connect();
  await client.query(`begin; ${text}`);
  const { rows } = await client.query(
    `select sum(seq_tup_read + idx_tup_fetch)::int as read from pg_stat_xact_all_tables
     where schemaname = 'credits_private' and relname in ('entries', 'accounts')`,
  );
  await client.query('commit');
  return rows[0].read;
}

test.each(['invoice', 'invoice_lines'])(
  'credits.%s of a period reads the entries of that period',
  async (view) => {
    const where = `account_id = 'long' and period = '2024-02-01'`;
    const read = await rowsRead(`select * from credits.${view} where ${where}`);
    expect(read).toBeGreaterThan(each.long);
    expect(read).toBeLessThan(each.long + 400);
  },
);

test('invoices and their lines sum the entries of long and short accounts', async () => {
  const sums = (by: string) => `
    select account_id, period, ${by}count(distinct transaction_id) as calls,
    -sum(amount)::bigint as credits_used
    from credits.entries where kind = 'deduction'
    group by account_id, ${by} period order by account_id, period, credits_used`;
  for (const [view, by] of [
    ['invoice', ''],
    ['invoice_lines', 'api_key_id, '],
  ])
    expect(
      await db.query(`select account_id, period, ${by} calls, credits_used
        from credits.${view} order by account_id, period, credits_used`),
    ).toEqual(await db.query(sums(by ?? '')));
});
