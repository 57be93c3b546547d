import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { type Postgres, startPostgres } from '../../tools/postgres/embedded.ts';
import { deductAt, grantAt } from '../support/calls.ts';
import { databaseUrl, withClient } from '../support/connection.ts';
import { useDatabase } from '../support/database.ts';
import { type Stage, testDocument } from '../support/document.ts';
import { DAY } from '../support/time.ts';

/** pg_dump's own major version: it dumps no newer server. */
const { stdout, error } = spawnSync('pg_dump', ['--version'], { encoding: 'utf8' });
const major = Number(/ (\d+)/.exec(stdout ?? '')?.[1]);
const needs = () => {
  if (error) return 'there is no pg_dump here';
  return major >= 15 && major <= 18 ? undefined : `no server of pg_dump's version, ${major}`;
};

let old: Postgres;
let newer: Postgres;
beforeAll(async () => {
  if (needs()) return;
  old = await startPostgres({ major, settings: { wal_level: 'logical' } });
  newer = await startPostgres({ major: 18 });
  await query(old.url, 'create role shop login createrole');
  await query(old.url, 'create database shop');
  await deploy({ connectionString: source() });
  await query(source(), ledger);
});
afterAll(async () => {
  await old?.stop();
  await newer?.stop();
});

const db = useDatabase();
const source = () => databaseUrl(old.url, 'shop');
let target = '';

// biome-ignore lint/suspicious/noExplicitAny: the shape of a row is the query's
const query = <T = any>(url: string, text: string): Promise<T[]> =>
  withClient(url, async (client) => (await client.query(text)).rows);

/** A debt, a hold that is captured in part, a limit, credits with an end, a grant that is to come. */
const ledger = `
  select from credits.grant_credits('acme', 100, 'grant', p_expires_in => '30 days');
  select from credits.deduct_credits('acme', 40, 'deduct', p_api_key_id => 'key');
  select from credits.refund_credits('acme', 2, 'refund', 5);
  select from credits.deduct_credits('acme', 0, 'nothing');
  select from credits.grant_credits('run', 20, 'grant');
  select from credits.hold_credits('run', 20, 'hold', p_expires_in => '1 day');
  select from credits.capture_hold('run', 1, 5, 'part', p_final => false);
  select from credits.set_limit('run', 'all', 40);
  select from credits.set_overdraft_limit('run', 10);
  select from credits.deduct_credits('run', 7, 'debt');
  select from credits.grant_credits('run', 9, 'later', p_effective_at => now() + interval '1 year');
  select from credits.revoke_grant('acme', 1, 'dispute', 70)`;

/** Every row of the ledger's tables. */
async function rowsOf(url: string): Promise<Record<string, string[]>> {
  const tables = await query(
    url,
    `select relname as name from pg_class where relkind = 'r' and relname <> all (array['migrations', 'applied_files'])
     and relnamespace = 'credits_private'::regnamespace order by 1`,
  );
  const rows = tables.map(async ({ name }) => [
    name,
    (await query(url, `select t::text as row from credits_private.${name} t order by 1`)).map(
      ({ row }) => row,
    ),
  ]);
  return Object.fromEntries(await Promise.all(rows));
}

const deductOnce = `select balance, replayed from credits.deduct_credits('acme', 40, 'deduct', p_api_key_id => 'key')`;

/** A restored ledger goes on: it knows its keys, its figures move, its guards stand. */
async function goesOn() {
  expect(await query(target, deductOnce)).toEqual([{ balance: '60', replayed: true }]);
  await query(target, `select from credits.capture_hold('run', 1, 15, 'rest')`);
  await query(target, `select from credits.grant_credits('acme', 100, 'another')`);
  await query(target, `select from credits.grant_credits('run', 8, 'repays')`);
  const changed = query(target, 'update credits_private.accounts set balance = 0');
  await expect(changed).rejects.toMatchObject({ code: '23514' });
  expect(await query(target, 'select * from credits.discrepancies')).toEqual([]);
}

interface Place {
  on?: () => Postgres;
  as?: string;
}

/** Its commands, on an empty database: the ledger is the same afterwards, and goes on. */
const restoring = (database: string, place: Place = {}, more: Partial<Stage> = {}): Stage => ({
  needs,
  async before() {
    const { on = () => old, as = 'postgres' } = place;
    await query(on().url, `create database ${database} owner ${as}`);
    const url = new URL(databaseUrl(on().url, database));
    url.username = as;
    target = url.href;
  },
  env: () => ({ DATABASE_URL: source(), TARGET_URL: target }),
  ...more,
});

const verify = 'npx pg-credits verify --database-url "$TARGET_URL"';
const whole = {
  async [verify]() {
    expect(await rowsOf(target)).toEqual(await rowsOf(source()));
    await goesOn();
  },
};

const bare = {
  async [verify]() {
    await query(target, `select from credits.grant_credits('acme', 5, 'grant')`);
    expect(await query(target, 'select balance from credits.remaining')).toEqual([
      { balance: '5' },
    ]);
  },
};

const replicated = async () => {
  const published = `select schemaname || '.' || tablename as name from pg_publication_tables order by 1`;
  const tables = Object.keys(await rowsOf(source())).map((name) => ({
    name: `credits_private.${name}`,
  }));
  expect(await query(source(), published)).toEqual(tables);
};

/** Credits that expired a second ago. */
const due = `
  select from credits.grant_credits('due', 5, 'grant', p_expires_in => '1 second');
  select pg_sleep(1.1)`;

testDocument('docs/operating.md', {
  'Roles first': restoring('roles', { on: () => newer }),
  'A full backup': restoring('whole', { on: () => newer }, { after: whole }),
  'Only the two schemas': restoring('two', {}, { after: whole }),
  'Without owners and privileges': restoring(
    'unowned',
    { as: 'shop' },
    // It has become a member of the owner, which verify would note from now on.
    { after: whole, finally: () => query(old.url, 'revoke credits_owner from shop') },
  ),
  'With other role names': restoring('staging', {}, { after: whole }),
  'Only the schema': restoring('structure', {}, { after: bare }),
  'Only the data': restoring('filled', {}, { after: whole }),
  'To a newer major version of Postgres': restoring(
    'upgraded',
    { on: () => newer },
    {
      after: {
        'psql "$DATABASE_URL" -c \'create publication pg_credits for table': replicated,
        'psql "$TARGET_URL" \\': () =>
          query(
            source(),
            `
          select credits.grant_credits('acme', 1, 'meanwhile ' || i)
          from generate_series(1, 20) i`,
          ),
        ...whole,
      },
    },
  ),
  'Settle what is due': {
    before: () => db.query(due),
    env: () => ({ DATABASE_URL: db.url }),
  },
  'Watch it': { sql: (statement) => db.query(statement) },
  "When the server's clock was wrong": {
    async before() {
      const now = Date.now() * 1000;
      await grantAt(db, 'acme', now, { key: 'grant', amount: 100 });
      await deductAt(db, 'acme', now + 365 * DAY, { key: 'ahead', amount: 25 });
    },
    sql: (statement) => db.query(statement),
  },
});
