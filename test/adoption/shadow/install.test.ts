import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import * as shadowCommand from '../../../scripts/commands/shadow.ts';
import { runCommand } from '../../../scripts/shell/command.ts';
import { UsageError } from '../../../scripts/shell/explain.ts';
import { cli } from '../../deploy/fixture.ts';
import { createDatabase, type Database } from '../../support/database.ts';
import { adopt, createApp, failures, figures, insert, mappingText, tables } from './app.ts';

let db: Database;
beforeAll(async () => {
  db = await createApp();
});
afterAll(() => db.drop());

function shadow(action: string, { text = mappingText, url = db.url, args = [] as string[] } = {}) {
  const file = join(mkdtempSync(join(inject('folder'), 'mapping ')), 'pg-credits.yaml');
  writeFileSync(file, text);
  return cli(['shadow', action, '--database-url', url, '--mapping', file, ...args]);
}

function as(name: string): string {
  const url = new URL(db.url);
  url.username = name;
  url.password = 'p';
  return url.href;
}

const on = /^the shadow of public\.credit_transactions is on, since 20\d\d-.* UTC\n$/;

test('shadow install waits for writers that are under way, names them, and installs once', async () => {
  const writer = await db.connect();
  await writer.query(`set application_name = 'the app'; begin`);
  await insert(writer, 'u1', -1);
  const running = shadow('install');
  let said = '';
  running.child.stderr?.on('data', (data) => {
    said += data;
  });
  while (!said.includes('trying again')) await Promise.race([running, sleep(5)]);
  expect(said).toMatch(
    /^the app is busy \(held by pid \d+, user \S+, the app, idle in transaction, .*\): trying again\n/,
  );
  await insert(writer, 'u1', -2);
  await writer.query('commit');
  const outcome = await running;
  expect(outcome.code).toBe(0);
  expect(outcome.stdout).toMatch(on);

  const [first] = await db.query('select xmin::text, oid from pg_trigger where tgname ~ $1', [
    'shadow$',
  ]);
  expect((await shadow('install')).stdout).toMatch(
    /^nothing to do: the shadow of .* is on, since /,
  );
  expect(
    await db.query('select xmin::text, oid from pg_trigger where tgname ~ $1', ['shadow$']),
  ).toEqual([first]);
});

test('shadow status and remove say what is there, and a second remove finds nothing', async () => {
  await adopt(db, 'u1');
  await insert(db, 'u1', -3);
  const status = await shadow('status');
  expect(status).toMatchObject({ code: 0, stderr: '' });
  expect(status.stdout.split('\n').slice(1)).toEqual([
    '1 write mirrored, 0 failures',
    'not adopted: u2, u3: run pg-credits adopt again, which takes seconds',
    '',
  ]);
  expect((await shadow('remove')).stdout).toBe(
    'the shadow of public.credit_transactions is off: the app goes on alone\n',
  );
  await insert(db, 'u1', -3);
  expect(await figures(db, 'u1')).toEqual({ ours: 964, theirs: 961 });
  expect((await shadow('remove')).stdout).toBe('nothing to do: the shadow was not on\n');
  expect((await shadow('status')).stdout).toMatch(/^the shadow is off: it is not installed\n/);
});

test("the owner of the app's tables may install the shadow when allowed to act as the owner of the ledger", async () => {
  const [app, other] = [`${db.rolePrefix}shop`, `${db.rolePrefix}stranger`];
  const owner = `${db.rolePrefix}credits_owner`;
  await db.query(
    `create role ${app} login password 'p'; create role ${other} login password 'p';
     alter table public.user_credits owner to ${app}; alter table public.api_keys owner to ${app};
     alter table public.credit_transactions owner to ${app};
     grant select on all tables in schema public to ${other}; grant ${owner} to ${other}`,
  );
  const refused = await shadow('install', { url: as(app) });
  const grant = /an administrator must run: (grant .* to ".*shop".*;)\n$/.exec(refused.stderr)?.[1];
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  await db.query(grant ?? 'no grant');
  const outcome = await shadow('install', { url: as(app) });
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toMatch(on);
  await db.query(
    `update public.credit_transactions set amount = amount - 3 where amount = 1000 and user_id = 'u1'`,
  );
  expect(await failures(db)).toEqual([]);
  // No privilege lent for the installation stays.
  const may = await db.one(
    `select has_schema_privilege($1, 'credits_adoption', 'usage') as usage,
      (select proacl::text from pg_proc where oid = 'credits_adoption.shadow()'::regprocedure) as acl`,
    [other],
  );
  expect(may.acl).toBe(`{${owner}=X/${owner}}`);
  expect((await shadow('remove', { url: as(app) })).code).toBe(0);
  expect((await shadow('install', { url: as(other) })).stderr).toMatch(
    new RegExp(
      `^public.credit_transactions belongs to ${app}, and only its owner can install the shadow: connect as ${app}, not as ${other}\n$`,
    ),
  );
});

test('shadow install refuses a table that the owner of the ledger may not read, before it creates anything', async () => {
  await db.query('create schema secret; create table secret.kinds (kind text, name text)');
  const text = mappingText.replace(
    'kind: kind',
    'kind: (select k.name from secret.kinds as k where k.kind = t.kind)',
  );
  const { code, stderr } = await shadow('install', { text });
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^the trigger cannot read the table: permission denied for schema secret: it does so as \w+credits_owner, who needs that privilege\n$/,
  );
  expect(await db.query(`select from pg_trigger where tgname ~ 'pg_credits_shadow'`)).toEqual([]);
});

test('shadow ends with one line for a view, a table without it, and a database without pg-credits', async () => {
  await db.query('create view public.moves as select * from public.credit_transactions');
  const text = mappingText.replace('public.credit_transactions', 'public.moves');
  expect((await shadow('install', { text })).stderr).toBe(
    'public.moves is a view: the shadow needs the table that is written to\n',
  );
  expect(
    (await shadow('install', { text: mappingText.replace('amount: amount', 'amount: amuont') }))
      .stderr,
  ).toMatch(/^mapping: transactions\.amount: column "amuont" does not exist\n$/);
  await shadow('install');
  await db.query(
    'create table public.more (like public.credit_transactions); insert into public.more select * from public.credit_transactions',
  );
  const more = mappingText.replace('public.credit_transactions', 'public.more');
  expect((await shadow('install', { text: more })).stderr).toBe(
    'the shadow is not installed: it is on public.credit_transactions: run pg-credits shadow remove first\n',
  );
  const empty = await createDatabase({ empty: true });
  try {
    await empty.query(tables);
    expect((await shadow('install', { url: empty.url })).stderr).toMatch(
      /^no pg-credits in database \w+: run pg-credits deploy first\n$/,
    );
  } finally {
    await empty.drop();
  }
});

test('a table that others inherit from is refused, as no write to them would be mirrored', async () => {
  await shadow('remove');
  await db.query(`
    create table public."moves 2024" () inherits (public.credit_transactions);
    create table public.moves_2025 () inherits (public.credit_transactions)`);
  expect((await shadow('install')).stderr).toBe(
    'rows of public.credit_transactions are also in what inherits from it (public."moves 2024", public.moves_2025), where no write would be mirrored: declare partitions instead, or end the inheritance\n',
  );
  await db.query('drop table public."moves 2024", public.moves_2025');
  expect((await shadow('install')).stdout).toMatch(on);
});

test('shadow retry can give up by its number what can never be booked', async () => {
  await insert(db, 'x'.repeat(300), 5);
  const [{ id }] = await db.query('select failure_id as id from credits_adoption.failures');
  const stuck = await shadow('retry');
  expect(stuck.code).toBe(1);
  expect(stuck.stdout).toMatch(
    new RegExp(
      `^failure ${id}, account x+, transaction \\d+: account_id: an id must have 1 to 255 bytes\n` +
        '0 writes booked, 0 that adopt has read or will, 1 left\n' +
        'what can never be booked: --give-up and its number\n$',
    ),
  );
  const unknown = await shadow('retry', { args: ['--give-up', `${id}`, '--give-up', '999'] });
  expect(unknown).toMatchObject({ code: 1, stderr: 'there is no failure 999\n' });
  expect(await failures(db)).toHaveLength(1);
  expect(await shadow('retry', { args: ['--give-up', `${id}`] })).toMatchObject({
    code: 0,
    stdout:
      `failure ${id} is given up: what it leaves amiss, compare shows\n` +
      '0 writes booked, 0 that adopt has read or will, 0 left\n',
  });
  await db.query(`delete from public.credit_transactions where user_id like 'xxx%'`);
  await shadow('retry', { args: ['--give-up', `${id + 1}`] });
  expect(await failures(db)).toEqual([]);
});

test('shadow remove --forget drops what was adopted, but not what is still to be booked', async () => {
  await db.query(
    `insert into credits_adoption.failures (error, sqlstate) values ('planted', '00000')`,
  );
  expect((await shadow('remove', { args: ['--forget'] })).stderr).toBe(
    '1 write could not be mirrored: run pg-credits shadow retry first\n',
  );
  await db.query('delete from credits_adoption.failures');
  expect((await shadow('remove', { args: ['--forget'] })).stdout).toMatch(
    /\nwhat was adopted is forgotten; the ledger stays as it is\n$/,
  );
  expect(await db.one(`select to_regnamespace('credits_adoption') as name`)).toEqual({
    name: null,
  });
});

test.each([
  [[], 'say what to do: install, status, retry or remove'],
  [['start'], 'install, status, retry or remove is expected, not start'],
  [['install', 'now'], 'install, status, retry or remove is expected, not install now'],
  [['install', '--forget'], '--forget is for remove'],
  [['status', '--give-up', '1'], '--give-up is for retry'],
  [['retry', '--give-up', 'all'], '--give-up must be the number of a failure, not all'],
])('shadow %j is wrong usage', async (args, line) => {
  await expect(runCommand(shadowCommand, args)).rejects.toThrow(new UsageError(line));
});

test('what default privileges grant on the adoption’s schema is revoked', async () => {
  const other = await createApp();
  const anon = `${db.rolePrefix}adoption_anon`;
  try {
    const { user } = await other.one('select current_user as user');
    await other.query(`create role ${anon} nologin`);
    for (const role of [user, `${db.rolePrefix}credits_owner`])
      await other.query(`
        alter default privileges for role ${role} grant execute on functions to ${anon};
        alter default privileges for role ${role} grant all on tables to ${anon};
        alter default privileges for role ${role} grant all on schemas to ${anon}`);
    expect((await shadow('install', { url: other.url })).stdout).toMatch(on);
    const held = await other.query(
      `select relname as name from pg_class as c, aclexplode(c.relacl) as x
       where relnamespace = 'credits_adoption'::regnamespace and x.grantee = $1::regrole
       union all select proname from pg_proc as p, aclexplode(p.proacl) as x
       where pronamespace = 'credits_adoption'::regnamespace and x.grantee = $1::regrole
       union all select nspname from pg_namespace as n, aclexplode(n.nspacl) as x
       where nspname = 'credits_adoption' and x.grantee = $1::regrole`,
      [anon],
    );
    expect(held).toEqual([]);
  } finally {
    await other.drop();
  }
});
