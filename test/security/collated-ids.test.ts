import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { ask, type Call, callers, callsOf, furnish, ofTexts, type Way } from './outcomes.ts';
import { masked } from './state.ts';

// An app that has its ids in columns of another collation than the database's, as many have "C" for
// speed, finds every row of ours by an index, however much others have.
const db = useDatabase();
const account = 'acme';
let sessions: Awaited<ReturnType<typeof callers>>;

const column = (collation: string): Way => ({
  expression: ofTexts((value, type) => `${value}::${type} collate "${collation}"`),
  isColumn: true,
});

beforeAll(async () => {
  const others = Array.from({ length: 300 }, (_, i) => `other ${i}`);
  await furnish(db, account, ...others);
  await db.query(`select credits.grant_credits('large', 3000, 'grant')`);
  await db.query(`select count(*) from credits.deduct_credits_batch((
    select jsonb_agg(jsonb_build_object('account_id', 'large', 'amount', 1,
      'idempotency_key', 'key ' || i, 'api_key_id', 'key ' || i % 100, 'run_id', 'run ' || i))
    from generate_series(1, 3000) as i))`);
  await db.query('analyze');
  sessions = await callers(db);
});

const read = `
  select coalesce(sum(seq_scan), 0)::int as scans, coalesce(sum(idx_tup_fetch), 0)::int as rows
  from pg_stat_xact_all_tables where schemaname = 'credits_private'`;

/** What a call and its repeat answer and read; undone. At the sixth time, Postgres keeps a plan. */
async function readings(client: pg.Client, call: Call, way: Way) {
  const times: { answers: string; scans: number; rows: number }[] = [];
  while (times.length < 6) {
    await client.query('begin');
    const before = (await client.query(read)).rows[0];
    const answers = [await ask(client, call, way), await ask(client, call, way)];
    const { scans, rows } = (await client.query(read)).rows[0];
    await client.query('rollback');
    times.push({
      answers: masked(answers.map((answer) => answer.rows)),
      scans: scans - before.scans,
      rows: rows - before.rows,
    });
  }
  return times;
}

test('with ids of another collation, every function reads what it reads with any', async () => {
  for (const call of await callsOf(db, account)) {
    const client = sessions.of(call);
    // The first calls of a session have plans of their own, which may read otherwise than kept ones.
    const first = await readings(client, call, column('default'));
    const plain = await readings(client, call, column('default'));
    expect({ [call.name]: await readings(client, call, column('C')) }).toEqual({
      [call.name]: plain,
    });
    const all = [...first, ...plain];
    expect(all.map(({ scans }) => scans)).toEqual(all.map(() => 0));
    expect(Math.max(...all.map(({ rows }) => rows))).toBeLessThan(100);
  }
});

/** How many rows of ours a query for one of the app's rows reads, where none are read in vain. */
async function rowsRead(query: string): Promise<number> {
  const client = await db.connect();
  await client.query('set enable_seqscan = off; begin');
  await client.query(query);
  const { rows } = await client.query(
    `select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int as read
     from pg_stat_xact_all_tables where schemaname = 'credits_private'`,
  );
  await client.end();
  return rows[0].read;
}

const joined = (view: string, id: string) =>
  `select v.* from public.owners as o join credits.${view} as v on v.account_id = ${id} where o.number = 1`;
const lateral = (view: string, id: string) =>
  `select v.* from public.owners as o cross join lateral (
     select * from credits.${view} as v where v.account_id = ${id} offset 0) as v where o.number = 1`;

test('a join of the app’s own with a view finds one account by an index, as the README says', async () => {
  await db.query(`
    create table public.owners (number int primary key, id text collate "C", uuid uuid);
    insert into public.owners select i, 'other ' || i, gen_random_uuid() from generate_series(0, 299) as i;
    analyze public.owners`);
  // Discrepancies compare whole tables, except for an account that is named.
  const views = await db.query(
    `select c.relname as name from pg_class as c join pg_attribute as a on a.attrelid = c.oid
     where c.relnamespace = 'credits'::regnamespace and c.relkind = 'v' and a.attname = 'account_id'
       and c.relname <> 'discrepancies' order by 1`,
  );
  const summedUp = ['grants', 'invoice', 'invoice_lines'];
  const names = views.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['remaining', 'entries', ...summedUp]));
  for (const name of names)
    for (const id of ['o.id collate "default"', 'o.uuid::text']) {
      const readsAll = (await rowsRead(joined(name, id))) > 200;
      expect([name, id, readsAll]).toEqual([name, id, summedUp.includes(name)]);
      expect([name, id, (await rowsRead(lateral(name, id))) < 50]).toEqual([name, id, true]);
    }
  expect(await rowsRead(joined('remaining', 'o.id'))).toBeGreaterThan(200);
});
