import { beforeAll, expect, test } from 'vitest';
import { batchAt, callAt, deductAt, grantAt, holdAt, limitAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { DAY, HOUR, us } from '../../support/time.ts';

// What calls and views read of an account with a long history, many runs and many holds.

const db = useDatabase();
const start = us('2024-01-15T00:00:00Z');
const [entries, runs, holds] = [1000, 100, 20];

beforeAll(async () => {
  await grantAt(db, 'busy', start, { key: 'grant', amount: 100_000 });
  const deductions = (count: number, word: string) =>
    Array.from({ length: count }, (_, i) => ({
      account_id: 'busy',
      amount: 1,
      idempotency_key: `${word} ${i}`,
      run_id: `run ${i % runs}`,
    }));
  await batchAt(db, start, deductions(entries, 'last month'));
  await deductAt(db, 'busy', start + 40 * DAY, { key: 'this month', amount: 7, run: 'run 1' });
  const each = { ceiling: 1000, scope: 'run' } as const;
  await limitAt(db, 'busy', start + 40 * DAY, { id: 'each run', window: 'total', ...each });
  for (let i = 0; i < holds; i++) {
    const hold = { key: `hold ${i}`, amount: 2, run: `run ${i}`, expiresIn: '10 days' };
    await holdAt(db, 'busy', start + 40 * DAY, hold);
  }
  await db.query('analyze');
});

/** Rows of ours that one statement reads, by table; undone. */
async function rowsRead(statement: string): Promise<Record<string, number>> {
  const client = await db.connect();
  // As the public functions have it.
  await client.query(`begin; set local enable_seqscan = off; ${statement}`);
  const { rows } = await client.query(
    `select relname, (seq_tup_read + idx_tup_fetch)::int as read from pg_stat_xact_user_tables
     where schemaname = 'credits_private'`,
  );
  await client.query('rollback');
  return Object.fromEntries(rows.map(({ relname, read }) => [relname, read]));
}

const at = (days: number) => `timestamptz '2024-01-15 00:00Z' + interval '${days} days 1 hour'`;
const set = (window: string) =>
  `select credits_private.set_limit_at('busy', 'new', 500, 'run', null, '${window}', 0, ${at(40)})`;

test.each(['hour', 'day', 'week', 'period'])(
  'a limit per %s is set without reading the ledger',
  async (window) => {
    const read = await rowsRead(set(window));
    expect(read.entries).toBeLessThan(60);
  },
);

test('a call under limits reads a counter of each, however many runs and holds there are', async () => {
  const read = await rowsRead(
    `select credits_private.deduct_credits_at('busy', 1, 'new', null, null, 'run 3', '{}', ${at(40)})`,
  );
  expect(read.holds ?? 0).toBe(0);
  expect(read.limit_counters).toBeLessThan(8);
});

test('the view reads the counters once, and no hold unless something is due', async () => {
  // Of this account the clock finds everything due; of another one nothing.
  const view = (account: string) => `select from credits.limits where account_id = '${account}'`;
  const now = Date.now() * 1000;
  await grantAt(db, 'calm', now, { key: 'grant', amount: 100 });
  await limitAt(db, 'calm', now, { id: 'run', ceiling: 50, scope: 'run' });
  await holdAt(db, 'calm', now, { key: 'hold', amount: 5, run: 'r', expiresIn: '10 days' });
  const calm = await rowsRead(view('calm'));
  expect(calm.holds ?? 0).toBe(0);
  const busy = await rowsRead(view('busy'));
  expect(busy.holds).toBeLessThanOrEqual(holds + 1);
  expect(busy.limit_counters).toBeLessThan(2 * (runs + holds));
  const [row] = await db.query(
    `select sum(spent)::int as spent, sum(reserved)::int as reserved, count(*)::int as rows
     from credits.limits where account_id = 'busy'`,
  );
  expect(row).toEqual({ spent: entries + 7, reserved: 0, rows: runs });
});

test('what holds reserve is counted when a limit is set, and until they end', async () => {
  const later = start + 40 * DAY + HOUR;
  const reserved = async (id: string) =>
    (
      await db.one(
        `select coalesce(sum(reserved), 0)::int as reserved from credits_private.limit_counters
         where account_id = 'busy' and limit_id = $1`,
        [id],
      )
    ).reserved;
  await limitAt(db, 'busy', later, { id: 'all', ceiling: 9000, window: 'week' });
  await limitAt(db, 'busy', later, { id: 'one', ceiling: 90, scope: 'run', scopeId: 'run 5' });
  expect([await reserved('all'), await reserved('one')]).toEqual([2 * holds, 2]);
  await callAt(db, 'forget_account', later, { p_account_id: 'busy' });
  expect([await reserved('all'), await reserved('one')]).toEqual([2 * holds, 2]);
  expect(await discrepancies(db, 'busy')).toEqual([]);
  await limitAt(db, 'busy', later, { id: 'one', ceiling: 90, scope: 'operation' });
  expect(await reserved('one')).toBe(2 * holds);
  await callAt(db, 'settle_account', later + 20 * DAY, { p_account_id: 'busy' });
  expect([await reserved('all'), await reserved('each run'), await reserved('one')]).toEqual([
    0, 0, 0,
  ]);
  expect(await discrepancies(db, 'busy')).toEqual([]);
});
