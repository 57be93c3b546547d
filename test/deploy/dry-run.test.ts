import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { readOnly } from '../../scripts/postgres/live.ts';
import { readSnapshot } from '../../scripts/snapshot/snapshot.ts';
import { shortDiff } from '../../tools/generate/generated.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { packageWith, within } from './fixture.ts';

let db: Database;
let prefix: string;
beforeEach(async () => {
  db = await createDatabase({ empty: true, ownRoles: true });
  prefix = db.rolePrefix;
});
afterEach(() => db.drop());

const dryRun = (...args: string[]) =>
  within(['deploy', '--dry-run', '--role-prefix', prefix, ...args, '--database-url', db.url]);

const snapshotOf = async (of: Database) => {
  const client = await of.connect();
  return readOnly(client, ({ rolePrefix }) => readSnapshot(client, rolePrefix));
};

test('what --sql prints is a deploy: run by anybody, it leaves what deploy leaves', async () => {
  const { stdout, stderr, code } = await dryRun('--sql');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^-- pg-credits .*\nbegin /);
  expect(stdout.trimEnd().endsWith('commit;')).toBe(true);
  expect(stderr).toMatch(/^dry run: nothing was changed/m);
  expect(await db.query(`select from pg_namespace where nspname like 'credits%'`)).toEqual([]);

  await db.query(stdout);
  const { stdout: said } = await dryRun();
  expect(said).toMatch(/^nothing to do/);
  expect((await within(['verify', '--database-url', db.url])).stdout).toMatch(
    /^all promises hold/m,
  );
  const deployed = await createDatabase({ empty: true });
  try {
    await deploy({ connectionString: deployed.url }, { rolePrefix: prefix });
    const [ours, theirs] = [await snapshotOf(db), await snapshotOf(deployed)];
    expect(ours === theirs ? [] : shortDiff(theirs, ours)).toEqual([]);
    const rows = 'select path, checksum from credits_private.applied_files order by path';
    expect(await db.query(rows)).toEqual(await deployed.query(rows));
    const names = 'select name from credits_private.migrations order by id';
    expect(await db.query(names)).toEqual(await deployed.query(names));
  } finally {
    await deployed.drop();
  }
});

test('psql runs what deploy --dry-run --sql prints as it is', async () => {
  const { stdout } = await dryRun('--sql');
  try {
    execFileSync('psql', ['--version']);
  } catch {
    console.log('no psql here: left out');
    return;
  }
  const args = ['-qX', '-v', 'ON_ERROR_STOP=1', '-d', db.url];
  execFileSync('psql', args, { input: stdout, stdio: ['pipe', 'pipe', 'pipe'] });
  expect((await dryRun()).stdout).toMatch(/^nothing to do/);
});

test('an upgrade’s SQL stops callers first, and turns triggers off before migrations', async () => {
  const to = { connectionString: db.url };
  const trigger = {
    'sql/triggers/accounts.sql': `create or replace function credits_private.check_balance()
      returns trigger language plpgsql set search_path = pg_temp as $$ begin return null; end; $$;
      create or replace trigger _100_check after update on credits_private.accounts
      for each row execute function credits_private.check_balance();`,
  };
  await deploy(to, {
    root: packageWith({ ...trigger, 'migrations/0002_notes.sql': '' }),
    rolePrefix: prefix,
  });
  const next = packageWith({
    ...trigger,
    'migrations/0002_notes.sql': 'update credits_private.accounts set balance = 7;\n-- the end',
  });
  const { sql = '' } = await deploy(to, { root: next, rolePrefix: prefix, dryRun: true });
  const places = [
    'lock table credits_private.accounts in access exclusive mode;',
    'alter table credits_private.accounts disable trigger "_100_check";',
    'update credits_private.accounts set balance = 7;',
    'create or replace trigger _100_check',
    'commit;',
  ].map((text) => sql.indexOf(text));
  expect(Math.min(...places)).toBeGreaterThan(0);
  expect(places).toEqual([...places].sort((a, b) => a - b));
  await db.query(sql);
  expect(await deploy(to, { root: next, rolePrefix: prefix })).toMatchObject({ upToDate: true });
  expect(
    await db.query(`select tgenabled::text from pg_trigger where tgname = '_100_check'`),
  ).toEqual([{ tgenabled: 'O' }]);
});

test('--sql of what is up to date prints no SQL; without --dry-run it is wrong usage', async () => {
  await deploy({ connectionString: db.url }, { rolePrefix: prefix });
  expect(await dryRun('--sql')).toMatchObject({ code: 0, stdout: '' });
  const json = JSON.parse((await dryRun('--sql', '--json')).stdout);
  expect(json).toMatchObject({ up_to_date: true, sql: '', notes: [] });
  expect(await within(['deploy', '--sql'])).toMatchObject({ code: 2, stdout: '' });
});
