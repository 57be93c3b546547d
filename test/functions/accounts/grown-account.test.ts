import { beforeAll, expect, test } from 'vitest';
import { type Arguments, batch, call } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';

// Right after an adoption each account has an entry or two, and the statistics say so. An account
// in heavy use has thousands long before new statistics are taken.

const db = useDatabase();
const entries = 3000;

beforeAll(async () => {
  await db.query(
    `select count(*) from generate_series(1, 2000) as i, credits.grant_credits('other ' || i, 1, 'g')`,
  );
  await grown('grant_credits', { p_amount: 100_000, p_idempotency_key: 'grant' });
  await db.query('analyze');
  await batch(
    db,
    Array.from({ length: entries }, (_, i) => ({
      account_id: 'grown',
      amount: 1,
      idempotency_key: `request ${i}`,
    })),
  );
});

const grown = (name: string, args: Arguments) => call(db, name, { p_account_id: 'grown', ...args });

/** How many rows of ours one statement reads, in a session of its own. */
async function rowsRead(text: string): Promise<number> {
  const client = await db.connect();
  await client.query(`begin; ${text}`);
  const { rows } = await client.query(
    `select sum(seq_tup_read + idx_tup_fetch)::int as read from pg_stat_xact_all_tables
     where schemaname = 'credits_private'`,
  );
  await client.query('commit');
  return rows[0].read;
}

test.each([
  `credits.deduct_credits('grown', 1, 'new')`,
  `credits.deduct_credits('grown', 1, 'request 5')`, // a replay
  `credits.refund_credits('grown', 2, 'refund')`,
  `credits.grant_credits('grown', 5, 'another')`,
  `credits.hold_credits('grown', 5, 'hold')`,
  `credits.capture_hold('grown', 1, 5, 'capture')`,
  `credits.deduct_credits('grown', 1, 'after a key without entry')`,
  `credits.revoke_grant('grown', 2, 'revoke')`,
])('%s reads a few rows, not the ledger', async (statement) => {
  expect(await rowsRead(`select * from ${statement}`)).toBeLessThan(100);
});

test('a page of transactions reads no row of the account for each of its rows', async () => {
  const page = `select * from credits.transactions where account_id = 'grown'
    order by transaction_id desc limit 20`;
  expect(await rowsRead(page)).toBeLessThan(4 * entries);
});
