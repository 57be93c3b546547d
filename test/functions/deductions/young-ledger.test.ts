import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { createDatabase, useDatabase } from '../../support/database.ts';
import { writeHistory } from '../../support/history.ts';

// For a table whose statistics know a row or two, the best plan is to read all of it; and a
// session keeps its plans until new statistics are taken, however many accounts have come since.

const db = useDatabase();
const accounts = 200;
const others = 1000;
let session: pg.Client;

const calls = [
  `open_account(a)`,
  `grant_credits(a, 90, 'grant 1')`,
  `grant_credits(a, 90, 'grant 2')`,
  `set_limit(a, 'limit', 1000)`,
  `deduct_credits(a, 100, 'deduction')`,
  `deduct_credits(a, 100, 'deduction')`, // a replay
  `deduct_credits_batch(jsonb_build_array(jsonb_build_object(
    'account_id', a, 'amount', 1, 'idempotency_key', 'of a batch')))`,
  `refund_credits(a, 3, 'refund')`,
  `hold_credits(a, 9, 'hold 1')`,
  `extend_hold(a, 1, '2 hours')`,
  `capture_hold(a, 1, 5, 'capture')`,
  `hold_credits(a, 9, 'hold 2')`,
  `release_hold(a, 2, 'release')`,
  `revoke_grant(a, 2, 'revocation')`,
  `set_overdraft_limit(a, 5)`,
  `available_for(a)`,
  `explain_balance(a)`,
  `settle_account(a)`,
  `remove_limit(a, 'limit')`,
  `settle_due(1)`,
  `close_account(a)`,
  `forget_account(a)`,
];

beforeAll(async () => {
  for (const call of calls)
    await db.query(`select from (values ('the first')) as i (a), credits.${call}`);
  await db.query('analyze');
  session = await db.connect();
});

async function rowsRead(session: pg.Client, work: string) {
  await session.query(`begin; ${work}`);
  const { rows } = await session.query(
    `select sum(seq_scan)::int as scans, sum(idx_tup_fetch)::int as fetched
     from pg_stat_xact_all_tables where schemaname = 'credits_private'`,
  );
  await session.query('commit');
  return rows[0];
}

test.each(calls)('%s for the 200th account reads no more than for the first', async (call) => {
  const { scans, fetched } = await rowsRead(
    session,
    `select count(*) from (select 'account ' || i from generate_series(1, ${accounts}) as i) as i (a)
     cross join lateral credits.${call}`,
  );
  expect(scans).toBe(0);
  expect(fetched / accounts).toBeLessThan(accounts);
});

// Those who do not come through public functions: a reader of `remaining`, adopt and the shadow.
test.each([
  ['figures', ['figures(a, null, now())']],
  [
    'an import',
    [
      `begin_import(a)`,
      `set_beginning(a, null, null, null, null, '2024-01-01Z')`,
      `import_transaction(a, '1', 9, '2024-01-01Z', false, null, null, null, null, null, '{}')`,
      `import_transactions(a, '[{"transaction_id": "2", "amount": -9, "created_at": "2024-01-02Z"}]')`,
      `import_balance(a, 5, 'opening', 'balance', '{}', null)`,
      `end_import(a, 0, 3, '{}')`,
    ],
  ],
])('%s reads as little in a session that knew the ledger when it was small', async (_, doors) => {
  const young = await createDatabase();
  try {
    await young.query(`select from credits.grant_credits('the first', 1, 'grant'); analyze`);
    const session = await young.connect();
    const work = (account: string) =>
      doors
        .map((door) => `select from (values ('${account}')) as i (a), credits_private.${door}`)
        .join(';');
    for (let i = 0; i < 8; i++) await session.query(work(`account ${i}`)); // from the sixth on, a plan is kept
    await young.query(
      `select count(*) from generate_series(1, ${others}) as i, credits.grant_credits('other ' || i, 1, 'g')`,
    );
    const { scans, fetched } = await rowsRead(session, work('one more'));
    expect(scans).toBe(0);
    expect(fetched).toBeLessThan(others);
  } finally {
    await young.drop();
  }
});

test('without statistics, to check an account with twice the history reads a few times as much', async () => {
  const young = await createDatabase();
  try {
    const blocks = async (steps: number) => {
      const account = `${steps} calls`;
      await writeHistory(young, account, 206, { steps });
      const [row] = await young.query(
        `explain (analyze, buffers, format json)
         select from credits.discrepancies where account_id = '${account}'`,
      );
      return row['QUERY PLAN'][0].Plan['Shared Hit Blocks'];
    };
    const [once, twice] = [await blocks(40), await blocks(80)];
    expect(once).toBeGreaterThan(0);
    expect(twice / once).toBeLessThan(8);
  } finally {
    await young.drop();
  }
});
