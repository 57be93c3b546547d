import { beforeAll, expect, test } from 'vitest';
import { call } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { writeHistory } from '../../support/history.ts';
import { DAY, HOUR } from '../../support/time.ts';

// credits.remaining of accounts on which nothing is due is columns of their rows; figures() works
// it out for all others.
const db = useDatabase();
const start = Date.now() * 1000 - 40 * DAY;
const histories = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => `history ${name}`);

const columns = ['available', 'scoped', 'held', 'debt', 'next_expiry_at', 'next_expiry_amount'];
const listed = (alias: string) => columns.map((column) => `${alias}.${column}`).join(', ');
const differences = (where = 'true') =>
  db.query(
    `select r.account_id, ${listed('r')}, f.figures
     from credits.remaining as r
     cross join lateral (
       select (${listed('f')})::text as figures
       from credits_private.figures(r.account_id, null, clock_timestamp()) as f
     ) as f
     where (${listed('r')})::text <> f.figures and ${where}`,
  );

beforeAll(async () => {
  for (const [seed, account] of histories.entries())
    await writeHistory(db, account, 70 + seed, { steps: 30, start });
  await db.query(`
    select count(*) from generate_series(1, 300) as i,
      credits.grant_credits('many ' || i, 10 + i, 'g', p_expires_in => '3 days');
    select count(*) from generate_series(1, 300, 3) as i,
      credits.grant_credits('many ' || i, i, 'scoped', p_operations => '{chat}')`);
  const later = new Date(Date.now() + HOUR / 1000).toISOString();
  for (const key of ['one', 'other'])
    await call(db, 'grant_credits', {
      p_account_id: 'many 1',
      p_amount: 5,
      p_idempotency_key: key,
      p_expires_at: later,
    });
  await call(db, 'open_account', { p_account_id: 'many 2', p_overdraft_limit: 2 ** 53 - 1 });
  await call(db, 'hold_credits', { p_account_id: 'many 2', p_amount: 5, p_idempotency_key: 'h' });
  await call(db, 'close_account', { p_account_id: 'many 4' });
  await db.query('analyze');
});

test('credits.remaining shows what figures() works out, before and after an account is settled', async () => {
  expect(await differences()).toEqual([]);
  for (const account of histories) await call(db, 'settle_account', { p_account_id: account });
  expect(await differences()).toEqual([]);
  expect(
    await db.query(`select ${columns.slice(0, 4).join(', ')}, next_expiry_amount
      from credits.remaining where account_id in ('many 1', 'many 2', 'many 4') order by account_id`),
  ).toEqual([
    { available: 21, scoped: 1, held: 0, debt: 0, next_expiry_amount: 10 },
    { available: 2 ** 53 - 1, scoped: 0, held: 5, debt: 0, next_expiry_amount: 7 },
    { available: 0, scoped: 4, held: 0, debt: 0, next_expiry_amount: 14 },
  ]);
});

/** How many calls of figures() and how many rows of ours a statement costs, in its own session. */
async function cost(text: string) {
  const client = await db.connect();
  await client.query(`set track_functions = 'all'; begin; ${text}`);
  const { rows } = await client.query(`
    select
      (select coalesce(sum(calls), 0)::int from pg_stat_xact_user_functions
       where funcname = 'figures') as calls,
      (select sum(seq_tup_read + idx_tup_fetch)::int from pg_stat_xact_all_tables
       where schemaname = 'credits_private') as read`);
  await client.query('commit');
  return rows[0];
}

test('credits.remaining of many accounts works out nothing for those on which nothing is due', async () => {
  const { calls, read } = await cost(
    `select * from credits.remaining where account_id like 'many%'`,
  );
  expect(calls).toBe(0);
  expect(read).toBeLessThan(5 * 400);
});

test('credits.remaining joined with a table of the app reads the accounts that it finds, and no others', async () => {
  await db.query(`create table app_users (id int primary key, account_id text not null);
    insert into app_users select i, 'many ' || i from generate_series(1, 300) as i;
    analyze app_users`);
  for (const where of ['u.id = 7', `u.account_id = 'many 7'`])
    expect(
      await cost(`select r.available from app_users as u
        join credits.remaining as r on r.account_id = u.account_id where ${where}`),
    ).toEqual({ calls: 0, read: expect.toSatisfy((rows: number) => rows < 20) });
});
