import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DeployOptions, deploy } from '../../scripts/deploy/deploy.ts';
import { createDatabase, type Database, waitUntilBlocked } from '../support/database.ts';
import { type Files, packageWith, small } from './fixture.ts';

let db: Database;
beforeEach(async () => {
  db = await createDatabase({ empty: true });
});
afterEach(() => db.drop());

const apply = (changes: Files = {}, options: DeployOptions = {}) =>
  deploy(
    { connectionString: db.url },
    { root: packageWith(changes), rolePrefix: db.rolePrefix, ...options },
  );

const schemas = () =>
  db.query(`select nspname from pg_namespace where nspname like 'credits%' order by 1`);

const oids = () =>
  db.query(
    `select oid, xmin::text, proname as name from pg_proc where pronamespace::regnamespace::text like 'credits%'
     union all select oid, xmin::text, relname from pg_class where relnamespace::regnamespace::text like 'credits%'
     union all select 0, xmin::text, path from credits_private.applied_files order by 3, 1`,
  );

test('deploy applies migrations, then sql/ in its order, and says so', async () => {
  const report = await apply();
  expect(report.migrations).toEqual(['migrations/0001_accounts.sql', 'migrations/0002_notes.sql']);
  expect(report.files).toEqual([
    'sql/private/next_balance.sql',
    'sql/functions/bump.sql',
    'sql/views/balances.sql',
    'sql/views/account_names.sql',
    'sql/roles.sql',
  ]);
  expect(report).toMatchObject({ upToDate: false, dryRun: false, attempts: 1 });
  expect(await db.one(`select credits.bump('acme') as balance`)).toEqual({ balance: 1 });
});

test('a second deploy changes nothing, and says so', async () => {
  await apply();
  const before = await oids();
  expect(await apply()).toMatchObject({ upToDate: true, migrations: [], files: [] });
  expect(await oids()).toEqual(before);
});

test('deploy applies a changed file alone, and then what the roles may do', async () => {
  await apply();
  const changed = { 'sql/views/balances.sql': `${small['sql/views/balances.sql']}-- again\n` };
  const report = await apply(changed);
  expect(report).toMatchObject({
    migrations: [],
    files: ['sql/views/balances.sql', 'sql/roles.sql'],
  });
  expect(await apply(changed)).toMatchObject({ upToDate: true });
});

test('a new migration brings all of sql/ with it, and so does deploy --reapply', async () => {
  await apply({ 'migrations/0002_notes.sql': '' });
  const report = await apply();
  expect(report.migrations).toEqual(['migrations/0002_notes.sql']);
  expect(report.files).toHaveLength(5);
  expect((await apply({}, { reapply: true })).files).toHaveLength(5);
});

test('deploy forgets a file that the package no longer has, and applies it again when it returns', async () => {
  await apply();
  await apply({ 'sql/views/account_names.sql': '' });
  const paths = await db.query('select path from credits_private.applied_files order by path');
  expect(paths.map((row) => row.path)).not.toContain('sql/views/account_names.sql');
  expect((await apply()).files).toEqual(['sql/views/account_names.sql', 'sql/roles.sql']);
});

test('deploy records the version', async () => {
  const { version } = await apply();
  const row = await db.one(
    `select checksum from credits_private.applied_files where path = 'package'`,
  );
  expect(row.checksum).toBe(version);
});

const broken = 'select 1;\n\nselect 💳, 1 from nowhere;\n';
test.each([
  ['migrations/0001_accounts.sql', 'select 1;\n\nselect * from nowhere;\n', 3],
  ['migrations/0002_notes.sql', `select 1;\nselect '💳💳💳', nowhere;\n`, 2],
  ['sql/functions/bump.sql', broken, 3],
  [
    'sql/views/balances.sql',
    `select 1;\n/* ; */ select ';';\ndo $$ begin raise 'no'; end $$;\n`,
    3,
  ],
  ['sql/roles.sql', 'grant usage on schema credits\n  to nobody_of_that_name;\n', 1],
  ['sql/roles.sql', 'select 1;\ncommit;\n', 2],
])('a broken %s is named with its line, and leaves nothing behind', async (path, text, line) => {
  const failure = await apply({ [path]: text }).catch((error) => error);
  expect(failure.message).toMatch(new RegExp(`^${path.replace('.', '\\.')}:${line}: .+$`));
  expect(await schemas()).toEqual([]);
});

test('deploy of a broken file leaves the state before it', async () => {
  await apply();
  const before = await oids();
  await expect(
    apply({ 'migrations/0003_x.sql': 'drop table credits_private.notes;', 'sql/roles.sql': 'x' }),
  ).rejects.toThrow('sql/roles.sql:1: syntax error at or near "x"');
  expect(await oids()).toEqual(before);
});

test('deploy refuses a database that is ahead of the package', async () => {
  await apply({ 'migrations/0003_later.sql': 'select 1;' });
  await expect(apply()).rejects.toThrow(
    'the database is ahead of this package (migration 0003_later): deploy a newer pg-credits',
  );
});

test('deploy refuses a migration that changed after it was applied', async () => {
  await apply();
  await expect(apply({ 'migrations/0002_notes.sql': 'select 2;' })).rejects.toThrow(
    'migrations/0002_notes.sql is not what was applied to this database',
  );
});

test('deploy refuses a migration that slipped in before applied ones', async () => {
  await apply({ 'migrations/0002_notes.sql': '', 'migrations/0003_x.sql': 'select 1;' });
  const slipped = apply({ 'migrations/0003_x.sql': 'select 1;' });
  await expect(slipped).rejects.toThrow('migrations/0002_notes.sql was not applied');
});

test.each(['credits', 'credits_private'])(
  'deploy refuses a schema %s of somebody else',
  async (name) => {
    await db.query(`create schema ${name}`);
    await expect(apply()).rejects.toThrow(`schema ${name} exists and was not made by pg-credits`);
    expect(await schemas()).toEqual([{ nspname: name }]);
  },
);

test('a dry run says what would run and changes nothing, before and after', async () => {
  const first = await apply({}, { dryRun: true });
  expect(first).toMatchObject({ dryRun: true, upToDate: false });
  expect([first.migrations.length, first.files.length]).toEqual([2, 5]);
  expect(await schemas()).toEqual([]);
  await apply();
  const before = await oids();
  const changes = { 'migrations/0003_x.sql': 'select 1;' };
  const holder = await db.connect();
  await holder.query('begin; lock table credits_private.accounts in exclusive mode');
  const second = await apply(changes, { dryRun: true });
  await holder.query('rollback');
  expect([second.migrations, second.files.length]).toEqual([['migrations/0003_x.sql'], 5]);
  expect(await oids()).toEqual(before);
  expect(await apply({}, { dryRun: true })).toMatchObject({ upToDate: true });
});

test('of twenty deploys at once into an empty database all succeed, and one applies', async () => {
  const root = packageWith();
  const rolePrefix = `${db.rolePrefix}many_`;
  const said: string[] = [];
  const log = (line: string) => said.push(line);
  const reports = await Promise.all(
    Array.from({ length: 20 }, () =>
      deploy({ connectionString: db.url }, { root, rolePrefix, log }),
    ),
  );
  expect(reports.filter((report) => !report.upToDate)).toHaveLength(1);
  expect(said).toContainEqual(
    expect.stringMatching(
      /^another deploy is running \(pid \d+, .*\): waiting for it, up to 60 s$/,
    ),
  );
});

test('deploys of two databases of one server at once both create the roles', async () => {
  const other = await createDatabase({ empty: true });
  const root = packageWith();
  const rolePrefix = `${db.rolePrefix}two_`;
  try {
    const reports = await Promise.all(
      [db.url, other.url].map((connectionString) =>
        deploy({ connectionString }, { root, rolePrefix }),
      ),
    );
    expect(reports.map((report) => report.owner)).toEqual(
      Array(2).fill(`${rolePrefix}credits_owner`),
    );
  } finally {
    await other.drop();
  }
});

test('deploy waits for a caller in the middle of a transaction, and applies when that is over', async () => {
  // The second attempt locks the views as well, and with each of them what it reads.
  const reads = 'create or replace view credits.tables as select relname from pg_catalog.pg_class;';
  // credits.discrepancies reads the catalogue through a check: a view of its own.
  const changes = {
    'sql/views/tables.sql': reads,
    'sql/checks/indexes.sql':
      'create or replace view credits_private.check_indexes as select indexrelid from pg_catalog.pg_index;',
    'sql/views/indexes.sql':
      '-- requires: checks/\ncreate or replace view credits.indexes as table credits_private.check_indexes;',
  };
  await apply(changes);
  const caller = await db.connect();
  await caller.query(`begin; select credits.bump('acme')`);
  let busy = () => {};
  const seen = new Promise<void>((resolve) => {
    busy = resolve;
  });
  const lines: string[] = [];
  const log = (line: string) => {
    lines.push(line);
    busy();
  };
  const deploying = apply(changes, { reapply: true, lockTimeout: 20, log });
  await seen;
  await caller.query('commit');
  expect((await deploying).attempts).toBeGreaterThan(1);
  expect(lines[0]).toMatch(
    /^callers are busy \(held by pid \d+, .*idle in transaction.*\): trying/,
  );
});

test('deploy gives up on a lock that nobody releases, names its holder, and changes nothing', async () => {
  await apply();
  const before = await oids();
  const caller = await db.connect();
  await caller.query(`begin; set local application_name = 'sleepy'; select credits.bump('acme')`);
  await expect(apply({}, { reapply: true, lockTimeout: 20, patience: 1 })).rejects.toThrow(
    /^no lock within .* \(held by pid \d+, user \S+, sleepy, idle in transaction, .*\): nothing was changed/,
  );
  await caller.query('rollback');
  expect(await oids()).toEqual(before);
});

test('deploy refuses a lock timeout that would let callers fail', async () => {
  await expect(apply({}, { lockTimeout: 1000 })).rejects.toThrow("server's deadlock_timeout");
});

test('deploy whose connection breaks says one line, and has changed nothing', async () => {
  await apply();
  const holder = await db.connect();
  await holder.query('begin; select pg_advisory_xact_lock(7238316498215403)');
  const deploying = apply({}, { reapply: true }).catch((error) => error);
  const { rows } = await holder.query('select pg_backend_pid() as pid');
  const waiter = async () => {
    for (;;) {
      const [row] = await db.query(
        'select pid from pg_stat_activity where $1 = any(pg_blocking_pids(pid))',
        [rows[0].pid],
      );
      if (row) return row.pid;
      await sleep(5);
    }
  };
  const pid = await waiter();
  await waitUntilBlocked(db, pid, { by: rows[0].pid });
  await db.query('select pg_terminate_backend($1)', [pid]);
  expect((await deploying).message).toMatch(
    /^lost the connection .*nothing was changed; run it again$/,
  );
  await holder.query('rollback');
});
