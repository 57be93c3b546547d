import { cpSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { packageRoot, readPackage } from '../../scripts/package.ts';
import { withClient } from '../support/connection.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { cli, within } from './fixture.ts';

// Mallory owns the database, deployed pg-credits with what rights that gives, and left something in the schemas. What
// is left ends the session of whoever else runs it: a command that loses its connection has run it, as a superuser.
let db: Database;
let left: Database; // as Mallory left it, to be copied
let mallory: string;
let prefix: string;

beforeAll(async () => {
  left = await createDatabase({ empty: true });
  prefix = `${left.rolePrefix}f_`;
  mallory = `${prefix}mallory`;
  // Through no pool: nobody is to be connected to what is copied.
  await withClient(left.url, (admin) => admin.query(`create role ${mallory} login password 'p'`));
  await prepare(left);
  await deploy({ connectionString: malloryUrl(left) }, { rolePrefix: prefix });
});
afterAll(() => left.drop());
afterEach(() => db.drop());

const copyWhatIsLeft = async () => {
  db = await createDatabase({ template: left.name });
  await db.query(`alter database ${db.name} owner to ${mallory}`);
};
const startEmpty = async () => {
  db = await createDatabase({ empty: true });
  await prepare(db);
};

async function prepare(database: Database) {
  await withClient(database.url, (admin) =>
    admin.query(`alter database ${database.name} owner to ${mallory}`),
  );
  await asMallory(
    `create schema evil; grant usage on schema evil to public;
    create function evil.act() returns boolean language plpgsql as $$ begin
      if session_user <> '${mallory}' then
        perform pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());
        perform pg_catalog.pg_sleep(1);
      end if;
      return true;
    end $$;
    create function evil.as_time() returns timestamptz language plpgsql as
      $$ begin perform evil.act(); return pg_catalog.now(); end $$;
    create function evil.as_constant(anyelement) returns boolean language plpgsql immutable as
      $$ begin perform evil.act(); return true; end $$;
    create function evil.as_trigger() returns trigger language plpgsql as
      $$ begin perform evil.act(); return new; end $$`,
    database,
  );
}

const malloryUrl = (database = db) => {
  const url = new URL(database.url);
  url.username = mallory;
  url.password = 'p';
  return url.href;
};

const asMallory = (statements: string, database = db) =>
  withClient(malloryUrl(database), (client) => client.query(statements));

const said = async (args: string[]) => {
  const { stdout, stderr } = await within(args);
  return stderr + stdout;
};

const commands = [
  ['status'],
  ['verify'],
  ['deploy', '--dry-run'],
  ['deploy', '--dry-run', '--sql'],
  ['deploy'],
  ['deploy', '--reapply'],
];

/** Every command, by a superuser: their messages by their arguments. */
async function runAll(): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const args of commands) {
    const text = await said([...args, '--role-prefix', prefix, '--database-url', db.url]);
    expect(text, args.join(' ')).not.toMatch(/lost the connection|terminat/);
    texts.set(args.join(' '), text);
  }
  return texts;
}

const accounts = 'credits_private.accounts';
const files = 'credits_private.applied_files';
const trigger = (table: string) =>
  `create trigger boo before insert or update or delete on ${table} for each row execute function evil.as_trigger()`;

const refused: [string, string, string][] = [
  ['a trigger on the bookkeeping', trigger(files), `trigger ${files} boo`],
  ['a trigger on a table of the ledger', trigger(accounts), `trigger ${accounts} boo`],
  [
    'a trigger that is enabled always',
    `${trigger(accounts)}; alter table ${accounts} enable always trigger boo`,
    `trigger ${accounts} boo`,
  ],
  [
    'a rule',
    `create rule boo as on insert to ${files} do also select evil.act()`,
    `rule ${files} boo`,
  ],
  [
    'a policy',
    `alter table ${files} enable row level security; create policy boo on ${files} using (evil.act())`,
    files,
  ],
  [
    'a default',
    `alter table ${files} alter column applied_at set default evil.as_time()`,
    `column ${files}.applied_at`,
  ],
  [
    'a check',
    `alter table ${files} add constraint boo check (evil.as_constant(path))`,
    `constraint ${files} boo`,
  ],
  [
    'an index on an expression',
    `create index boo on ${accounts} (evil.as_constant(unit))`,
    `index ${accounts} boo`,
  ],
  [
    'an index whose condition is worked out by the planner',
    `create index boo on ${accounts} (unit) where evil.as_constant(1)`,
    `index ${accounts} boo`,
  ],
  [
    'statistics on an expression',
    `create statistics credits_private.boo on (evil.as_constant(unit)), unit from ${accounts}`,
    `statistics ${accounts} boo`,
  ],
  [
    'a child of a table',
    `create table evil.child () inherits (credits_private.migrations)`,
    'child of credits_private.migrations evil.child',
  ],
  [
    'a parent of a table, whose owner may read and delete its children’s rows',
    `create table evil.parent (account_id text not null); alter table ${accounts} inherit evil.parent`,
    `parent of ${accounts} evil.parent`,
  ],
  [
    'a type that a table follows',
    `create type evil.books as (path text, checksum text, applied_at timestamptz);
     alter table ${files} of evil.books`,
    files,
  ],
  [
    'a table without a replica identity, which can’t be changed once it is published',
    `alter table ${accounts} replica identity nothing; create publication boo for table ${accounts}`,
    `table ${accounts}`,
  ],
  [
    'a unique index, which refuses rows that we accept',
    `create unique index boo on ${accounts} (unit)`,
    `index ${accounts} boo`,
  ],
  [
    'a column of somebody’s type',
    `create domain evil.words as text check (evil.as_constant(value));
     alter table ${accounts} add column boo evil.words`,
    `column ${accounts}.boo`,
  ],
  [
    'a function beside ours',
    `create function credits.gift() returns boolean language sql as 'select evil.act()'`,
    'function credits.gift()',
  ],
  [
    'an operator beside ours, which a view means without naming it',
    `create function evil.as_equal(text, text) returns boolean language sql as 'select evil.act()';
     create operator credits_private.= (leftarg = text, rightarg = text, function = evil.as_equal);
     set search_path = credits_private, pg_catalog;
     ${readFileSync(join(packageRoot, 'sql/views/usage.sql'), 'utf8')}`,
    'operator credits_private.=(pg_catalog.text,pg_catalog.text)',
  ],
  [
    'a view beside ours',
    'create view credits.gift as select evil.act() as acted',
    'view credits.gift',
  ],
];

test.each(refused)('deploy refuses before it runs: %s', async (_, statements, subject) => {
  await copyWhatIsLeft();
  await asMallory(statements);
  const texts = await runAll();
  expect(texts.get('deploy')).toMatch(
    /^the schemas are not as pg-credits made them \(.*\): nothing/,
  );
  for (const text of [texts.get('deploy'), texts.get('deploy --dry-run'), texts.get('status')])
    expect(text).toContain(subject);
  expect(texts.get('verify')).toContain(subject.slice(0, 90));
});

const body = `language plpgsql security definer set search_path = pg_temp as
  $$ begin perform evil.act(); return null; end $$`;

const mended: [string, string][] = [
  [
    'a public function',
    `create or replace function credits.settle_due(p_max_accounts int default 100) returns int ${body}`,
  ],
  [
    'a function that views read',
    `create or replace function credits_private.is_time_zone(p_time_zone text) returns boolean
     language plpgsql stable set search_path = pg_temp as $$ begin return evil.act(); end $$`,
  ],
  [
    'a trigger function',
    `create or replace function credits_private.refuse_change() returns trigger ${body}`,
  ],
  [
    'the view of discrepancies',
    `create or replace view credits.discrepancies as select invariant, account_id, expected, actual,
       subject from (select null::text as invariant, null::text as account_id, null::text as expected,
       null::text as actual, null::text as subject where evil.act()) as d`,
  ],
];

test.each(mended)('%s that was replaced never runs, and deploy puts ours back', async (_, text) => {
  await copyWhatIsLeft();
  await asMallory(text);
  const texts = await runAll();
  expect(texts.get('verify')).toContain('run pg-credits deploy');
  expect(texts.get('verify')).toContain('and not everything could be checked');
  expect(texts.get('deploy')).toMatch(/given everything to .*credits_owner\n/);
  const after = await said(['verify', '--database-url', db.url]);
  expect(after).toMatch(/^all promises hold/m);
});

test('schemas that only have the names of ours are refused before anything of them runs', async () => {
  await startEmpty();
  await asMallory(`create schema credits; create schema credits_private;
    create table credits_private.migrations (id serial primary key, name text, run_on timestamp);
    create table credits_private.applied_files
      (path text primary key, checksum text, applied_at timestamptz default now());
    ${trigger('credits_private.migrations')};
    ${trigger(files)}`);
  const texts = await runAll();
  expect(texts.get('deploy')).toMatch(/^the schemas are not as pg-credits made them/);
});

test('deploy refuses bookkeeping that is a view', async () => {
  await copyWhatIsLeft();
  await asMallory(`drop table ${files};
    create view ${files} as select ''::text as path, ''::text as checksum, now() as applied_at where evil.act()`);
  expect((await runAll()).get('deploy')).toContain('was not made by pg-credits');
});

test('a database’s own search_path with an operator before Postgres’s is not searched', async () => {
  const operators = ['name', 'text', 'oid'].map(
    (type) => `
    create function evil.equal_${type}(${type}, ${type}) returns boolean language plpgsql as
      $$ begin perform evil.act(); return $1 operator(pg_catalog.=) $2; end $$;
    create operator evil.= (leftarg = ${type}, rightarg = ${type}, function = evil.equal_${type});`,
  );
  await copyWhatIsLeft();
  await asMallory(operators.join('\n'));
  await asMallory(`alter database ${db.name} set search_path = evil, pg_catalog`);
  const texts = await runAll();
  expect(texts.get('deploy')).toMatch(/given everything to .*credits_owner\n/);
  expect(await said(['verify', '--database-url', db.url])).toMatch(/^all promises hold/m);
  for (const command of ['compare', 'cutover', 'shadow'])
    expect((await cli([command, '--database-url', db.url])).stderr).not.toMatch(/connection/);
});

test('whoever is in the way is named without searching the database’s own search_path', async () => {
  const operators = ['name', 'text', 'oid', 'int'].map(
    (type) => `
    create function evil.equal_${type}(${type}, ${type}) returns boolean language sql as 'select evil.act()';
    create operator evil.= (leftarg = ${type}, rightarg = ${type}, function = evil.equal_${type});`,
  );
  await copyWhatIsLeft();
  await asMallory(operators.join('\n'));
  await asMallory(`alter database ${db.name} set search_path = evil, pg_catalog`);
  const args = ['deploy', '--patience', '1', '--role-prefix', prefix, '--database-url', db.url];
  const holder = await db.connect();
  await holder.query(`set search_path = ''; begin; lock table ${accounts} in access share mode`);
  expect((await cli(args)).stderr).toMatch(/no lock within .* \(held by pid \d+, /);
  await holder.query('rollback; select pg_catalog.pg_advisory_lock(7238316498215403)');
  expect((await cli(args)).stderr).toMatch(/another deploy has held its lock for 1 s \(pid /);
});

/** All migrations but the last, and a row that the last one changes. */
async function deployEarlier() {
  const root = mkdtempSync(join(inject('folder'), 'earlier '));
  mkdirSync(join(root, 'sql'));
  mkdirSync(join(root, 'migrations'));
  const { migrations } = readPackage();
  for (const { path } of migrations.slice(0, 4)) cpSync(join(packageRoot, path), join(root, path));
  await deploy({ connectionString: malloryUrl() }, { root, rolePrefix: prefix });
  await asMallory(`
    insert into ${accounts} (account_id, unit, scale, time_zone, anchor_day, period, next_period, period_ends_at,
      due_at, opened_at, last_created_at)
    values ('acme', 'credit', 0, 'UTC', 1, '2026-01-01', '2026-02-01', '2026-02-01', 'infinity', now(), now());
    insert into credits_private.limits (account_id, limit_id, scope, limit_window, ceiling, overage, set_entry_id)
    values ('acme', 'l', 'account', 'day', 5, 0, 0)`);
}

test('while migrations are pending, no trigger runs, and one that is left over undoes the deploy', async () => {
  await startEmpty();
  await deployEarlier();
  await asMallory(`
    create function credits_private.boo() returns trigger language plpgsql as
      $$ begin perform evil.act(); return new; end $$;
    create trigger boo before update on credits_private.limits
      for each row execute function credits_private.boo()`);
  const texts = await runAll();
  expect(texts.get('deploy')).toMatch(
    /^everything was applied, but (trigger|function) credits_private\..*boo.* is not as in this package.*rolled back/,
  );
  const { names } = await db.one(
    'select array_agg(name order by id) as names from credits_private.migrations',
  );
  expect(names).toHaveLength(4);

  await asMallory('drop function credits_private.boo() cascade');
  const { migrations: applied } = await deploy(
    { connectionString: db.url },
    { rolePrefix: prefix },
  );
  expect(applied[0]).toMatch(/0005/);
});

test('a trigger that is made while a deploy waits for its locks does not run', async () => {
  await startEmpty();
  await deployEarlier();
  const args = ['--lock-timeout', '900', '--role-prefix', prefix, '--database-url', db.url];
  const { oid } = await db.one('select oid from pg_database where datname = $1', [db.name]);
  const running = await withClient(malloryUrl(), async (holder) => {
    await holder.query(`begin; ${trigger('credits_private.limits')}`);
    const child = cli(['deploy', ...args]);
    const waiting = `select count(*)::int as count from pg_locks where not granted and database = $1`;
    while ((await db.one(waiting, [oid])).count === 0) await sleep(5);
    await holder.query('commit');
    return { child };
  });
  expect((await running.child).stderr).toMatch(
    /^trigger boo on credits_private\.limits was made while deploying: it was not run/m,
  );
});

test('--allow does not extend to a trigger on the bookkeeping', async () => {
  await copyWhatIsLeft();
  await asMallory(trigger(files));
  const args = ['deploy', '--allow', 'boo', '--role-prefix', prefix, '--database-url', db.url];
  expect(await said(args)).toMatch(
    /^credits_private\.applied_files and .* are not as pg-credits made them, which --allow does not cover/m,
  );
});

test('while migrations are pending, a table that is not as they left it is refused', async () => {
  await startEmpty();
  const root = mkdtempSync(join(inject('folder'), 'earlier '));
  mkdirSync(join(root, 'sql'));
  mkdirSync(join(root, 'migrations'));
  for (const { path } of readPackage().migrations.slice(0, 3))
    cpSync(join(packageRoot, path), join(root, path));
  await deploy({ connectionString: malloryUrl() }, { root, rolePrefix: prefix });
  await asMallory(`alter table ${accounts} add column boo timestamptz default evil.as_time()`);
  expect((await runAll()).get('deploy')).toMatch(/^the schemas are not as .*column .*\.boo is not/);
});
