import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { readParties } from '../../../scripts/adoption/app/parties.ts';
import { compare } from '../../../scripts/adoption/compare/compare.ts';
import { cutover as cutoverNow } from '../../../scripts/adoption/cutover/cutover.ts';
import { parseMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { expectNoDiscrepancies } from '../../concurrency/race.ts';
import { within } from '../../deploy/fixture.ts';
import { type Database, raised } from '../../support/database.ts';
import { adoptAll } from '../app.ts';
import { createApp, failures, install, mappingText, write } from '../shadow/app.ts';

let db: Database;
beforeEach(async () => {
  db = await createApp();
  // The app's counter, which counts calls by their key, agrees with the calls that had one.
  await db.query(`update public.api_keys set key_id = 'key 1' where user_id = 'u1'`);
  await db.query(`update public.api_keys set monthly_calls_count = 0 where user_id <> 'u1'`);
});
afterEach(() => db.drop());

async function prepare(text = mappingText, book: 'opening' | 'history' = 'history') {
  const mapping = parseMapping(text);
  await install(db, mapping);
  await adoptAll(db, { book, trust: 'transactions' }, { mapping });
}

function command(name: string, text: string, ...args: string[]) {
  const file = join(mkdtempSync(join(inject('folder'), 'mapping ')), 'pg-credits.yaml');
  writeFileSync(file, text);
  return within([name, '--database-url', db.url, '--mapping', file, ...args]);
}
const cutover = (...args: string[]) => command('cutover', mappingText, ...args);

async function compareNow(text = mappingText) {
  const client = await db.connect();
  return compare(client, parseMapping(text), await readParties(client));
}

const readers = [
  'select * from public.user_credits order by user_id',
  `select balance from public.user_credits where user_id = 'u2' for update`,
  'select * from public.credit_transactions order by id',
  `select id, amount from public.credit_transactions where user_id = 'u1' order by created_at desc limit 2`,
  `select t.kind, sum(t.amount) from public.credit_transactions as t join public.user_credits using (user_id)
   group by t.kind order by t.kind`,
  'select * from public.api_keys order by key_id',
  `select attname, atttypid, atttypmod from pg_attribute where attnum > 0 and not attisdropped
   and attrelid in ('public.user_credits'::regclass, 'public.credit_transactions'::regclass, 'public.api_keys'::regclass)
   order by attrelid::regclass::text, attnum`,
];
const readAll = () => Promise.all(readers.map((query) => db.query(query)));

test('readers see the same rows before and after a cutover, and then what the ledger books', async () => {
  await prepare();
  const before = await readAll();
  const outcome = await cutover();
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toMatch(
    /\na rollback will be possible\ncut over at 20.*: public.user_credits, public.api_keys, public.credit_transactions\n$/,
  );
  expect(await readAll()).toEqual(before);

  await db.query(
    `select from credits.deduct_credits('u1', 70, 'request 1', p_api_key_id => 'key 1')`,
  );
  const balance = await db.one(`select * from public.user_credits where user_id = 'u1'`);
  expect(balance).toEqual({ user_id: 'u1', balance: 900, plan: 'free' });
  const [latest] = await db.query(
    `select user_id, amount, kind, api_key_id, note from public.credit_transactions
     where user_id = 'u1' order by created_at desc, id desc limit 1`,
  );
  expect(latest).toEqual({
    user_id: 'u1',
    amount: -70,
    kind: 'deduction',
    api_key_id: 'key 1',
    note: null,
  });
  const calls = await db.query(
    'select monthly_calls_count as n from public.api_keys order by key_id',
  );
  expect(calls.map(({ n }) => n)).toEqual([2, 0, 0]);
  const ids = `select id from public.credit_transactions where amount = -70`;
  expect(await db.one(ids)).toEqual(await db.one(ids));
});

test('after a cutover other columns are written as before, and writing a figure or a transaction fails loudly', async () => {
  await prepare();
  await cutover();
  await db.query(`update public.user_credits set plan = 'pro' where user_id = 'u1'`);
  await db.query(`insert into public.user_credits (user_id) values ('u9')
    on conflict (user_id) do update set plan = 'pro'`);
  await db.query(`insert into public.api_keys (key_id, user_id) values ('key 9', 'u9')`);
  const rows = await db.query(
    `select * from public.user_credits where plan = 'pro' or user_id = 'u9' order by 1`,
  );
  expect(rows).toEqual([
    { user_id: 'u1', balance: 970, plan: 'pro' },
    { user_id: 'u9', balance: 0, plan: 'free' },
  ]);
  await db.query(`delete from public.api_keys where key_id = 'key 9'`);
  for (const [text, code] of [
    [`update public.user_credits set balance = balance - 1`, '0A000'],
    [`update public.api_keys set monthly_calls_count = 0`, '0A000'],
    [`insert into public.user_credits values ('u8', 0, 'free')`, '0A000'],
    [`insert into public.credit_transactions (user_id, amount) values ('u1', -1)`, '55000'],
  ] as const)
    expect(await raised(db.query(text))).toMatchObject({ code });
});

test('after a rollback the tables have what happened since, and the old code goes on', async () => {
  await prepare();
  await cutover();
  await db.query(
    `select from credits.deduct_credits('u1', 70, 'request 1', p_api_key_id => 'key u1')`,
  );
  await db.query(`select from credits.grant_credits('u2', 500, 'payment 1')`);
  await db.query(`select from credits.deduct_credits('u3', 1000, 'request 2')`).catch(() => {});
  const outcome = await cutover('--rollback');
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toMatch(
    /^2 transactions since 20.* written back, figures set in \d rows\nrolled back: /,
  );
  const balances = await db.query('select user_id, balance from public.user_credits order by 1');
  expect(balances.map(({ balance }) => balance)).toEqual([900, 1470, 970]);
  const added = await db.query(
    'select id, user_id, amount, kind, api_key_id from public.credit_transactions order by id desc limit 2',
  );
  expect(added.map(({ id: _, ...row }) => row)).toEqual([
    { user_id: 'u2', amount: 500, kind: 'grant', api_key_id: null },
    { user_id: 'u1', amount: -70, kind: 'deduction', api_key_id: 'key u1' },
  ]);
  expect(Number(added[0].id)).toBeLessThan(100);
  const agreeing = { shadow: { on: true }, accounts: 3n, agree: 3n };
  expect(await compareNow()).toMatchObject(agreeing);
  await write(db, 'u1', -5);
  expect(await compareNow()).toMatchObject({ ...agreeing, mirrored: 1n });
  expect(await failures(db)).toEqual([]);
  await expectNoDiscrepancies(db);
  expect((await cutover()).code).toBe(0);
  expect(
    (await db.one(`select balance from public.user_credits where user_id = 'u1'`)).balance,
  ).toBe(895);
});

test('an account that began in the ledger after the cutover is mirrored after a rollback', async () => {
  const wallets = mappingText.replace(
    'accounts:\n  table: public.user_credits',
    'accounts:\n  table: public.users',
  );
  await db.query('create table public.users as select user_id from public.user_credits');
  await prepare(wallets);
  await command('cutover', wallets);
  await db.query(`insert into public.users values ('new'), ('without balance')`);
  await db.query(`insert into public.user_credits (user_id) values ('new')`);
  for (const account of ['new', 'without balance', 'nobody'])
    await db.query(`select from credits.grant_credits($1, 50, 'payment')`, [account]);
  const outcome = await command('cutover', wallets, '--rollback');
  expect(outcome.stderr).toBe('');
  expect(outcome.stdout).toContain(
    `account nobody: public.users has no row of it: of its 50 since the cutover, nothing was written back
account without balance: public.user_credits has no row of it: of its 50 since the cutover, only the transactions are there
2 transactions since `,
  );
  const agreeing = { shadow: { on: true }, accounts: 5n, agree: 5n };
  expect(await compareNow(wallets)).toMatchObject(agreeing);
  await write(db, 'new', -5);
  expect(await compareNow(wallets)).toMatchObject({ ...agreeing, mirrored: 1n });
  // The ledger knows all of its usage, too.
  expect((await command('cutover', wallets)).stdout).not.toContain('left alone');
});

test('cutover --plan prints the SQL, and changes nothing', async () => {
  await prepare();
  const { code, stdout } = await cutover('--plan');
  expect(code).toBe(0);
  expect(stdout).toContain(
    '\nalter table public.user_credits rename to user_credits_before_pg_credits;\ncreate view',
  );
  expect(stdout).toMatch(
    /^-- a rollback will be possible, unless .* refuses it: cutover tries that$/m,
  );
  await write(db, 'u1', -5);
  expect(await failures(db)).toEqual([]);
  // It is SQL that does what it says.
  await db.query(stdout);
  expect(
    (await db.one(`select balance from public.user_credits where user_id = 'u1'`)).balance,
  ).toBe(965);
});

test('a cutover waits for a writer that is under way, and includes what it wrote', async () => {
  await prepare();
  const writer = await db.connect();
  await writer.query('begin');
  await write(writer, 'u1', -30);
  const client = await db.connect();
  const parties = await readParties(client);
  const said: string[] = [];
  let hear = () => {};
  const busy = new Promise<void>((resolve) => {
    hear = resolve;
  });
  const log = (line: string) => {
    said.push(line);
    hear();
  };
  const mapping = parseMapping(mappingText);
  const running = cutoverNow(client, mapping, parties, { oneWay: false, log });
  await Promise.race([busy, running]);
  expect(said[0]).toMatch(/^the app is busy \(held by pid \d+, .*\): trying again$/);
  await write(writer, 'u2', -40);
  await writer.query('commit');
  await running;
  const balances = await db.query('select balance from public.user_credits order by user_id');
  expect(balances.map(({ balance }) => balance)).toEqual([940, 930, 970]);
});

test('a cutover leaves a counter of usage from before an opening balance as it is', async () => {
  await prepare(mappingText, 'opening');
  const { stdout } = await cutover('--plan');
  expect(stdout).toMatch(
    /^-- left alone: public\.api_keys: calls: it counts from before accounts were adopted/,
  );
  expect(stdout).not.toContain('alter table public.api_keys');
  // One that counts from the next period on has nothing to lose.
  await db.query('update public.api_keys set monthly_calls_count = 0');
  const { stdout: later } = await command('cutover', since('next_period'), '--plan');
  expect(later).toContain('alter table public.api_keys');
});

/** The mapping of an app whose counters begin at that day of the account's in the ledger. */
const since = (day: string) =>
  mappingText.replace(
    'counts: calls',
    `counts: calls\n    since: (select (a.${day})::timestamp at time zone 'UTC' from credits_private.accounts as a where a.account_id = user_id)`,
  );

test('a cutover leaves a counter that does not count by billing period, or counts otherwise than the ledger', async () => {
  await prepare();
  const left = async (text: string) =>
    (await command('cutover', text, '--plan')).stdout.match(/(?<=^-- left alone: ).*$/gm);
  expect(await left(since('period'))).toBeNull();
  expect(await left(since('period + 1'))).toEqual([
    expect.stringMatching(
      /^public\.api_keys: calls: of account u1 it counts from \d{4}-\d\d-02 on, but the ledger by billing periods, the last from \d{4}-\d\d-01: is the mapping's anchor_day that of the counter\?$/,
    ),
  ]);
  await db.query(`update public.api_keys set monthly_calls_count = 7 where user_id = 'u2'`);
  const other =
    'public.api_keys: calls: 1 row says something else than the ledger (account u2: 7, the ledger 0): correct what is wrong first, or nothing counts there any more';
  expect(await left(mappingText)).toEqual([other]);
  // A rollback leaves this counter alone, like any other that nothing has happened to.
  expect((await cutover()).stdout).toContain(`left alone: ${other}\n`);
  await db.query(`select from credits.grant_credits('u2', 500, 'payment 1')`);
  expect((await cutover('--rollback')).stdout).toContain('figures set in 1 row\n');
  const counts = await db.query('select monthly_calls_count as n from public.api_keys order by 1');
  expect(counts.map(({ n }) => n)).toEqual([0, 1, 7]);
});

test('a cutover asks the gate once more: an account that differs by one credit stops it', async () => {
  await prepare();
  await db.query(`select from credits.deduct_credits('u2', 1, 'by another')`);
  const { code, stderr } = await cutover();
  expect(code).toBe(1);
  expect(stderr).toBe(
    'the gate is shut, nothing was changed:\naccount u2: the transactions say 970, the ledger 969: it differs by -1\n',
  );
  await write(db, 'u1', -5);
});
