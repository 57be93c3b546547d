import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { readPackage } from '../../scripts/package.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { within } from './fixture.ts';

let db: Database;
let prefix: string;
beforeEach(async () => {
  db = await createDatabase({ empty: true, ownRoles: true });
  prefix = db.rolePrefix;
});
afterEach(() => db.drop());

const said = async (args: string[]) => {
  const { stdout, stderr } = await within(args);
  return stderr + stdout;
};

type Commands = Record<'status' | 'verify' | 'dry' | 'deploy', string>;

/** What each command says, and that they agree: nothing to do, up to date, all promises hold; or none of it. */
async function ask(...options: string[]): Promise<Commands & { isUpToDate: boolean }> {
  const run = (...args: string[]) => said([...args, ...options, '--database-url', db.url]);
  const [status, verify] = [await run('status'), await run('verify')];
  const [dry, deployed] = [await run('deploy', '--dry-run'), await run('deploy')];
  const agree = {
    status: /^schema +up to date/m.test(status),
    verify: /^all promises hold/m.test(verify),
    dry: /^nothing to do/m.test(dry),
    deploy: /^nothing to do/m.test(deployed),
  };
  const isUpToDate = agree.deploy;
  const same = { status: isUpToDate, verify: isUpToDate, dry: isUpToDate, deploy: isUpToDate };
  expect(agree, [status, verify, dry, deployed].join('\n')).toEqual(same);
  return { status, verify, dry, deploy: deployed, isUpToDate };
}

const apply = (url = db.url) => deploy({ connectionString: url }, { rolePrefix: prefix });
const roles = () => ['--role-prefix', prefix];

async function deployer(attributes = ''): Promise<string> {
  const name = `${prefix}deployer`;
  await db.query(`create role ${name} login password 'p' ${attributes}`);
  await db.query(`grant create on database ${db.name} to ${name}`);
  const url = new URL(db.url);
  url.username = name;
  url.password = 'p';
  return url.href;
}

describe('status, verify, deploy and its dry run agree', () => {
  test('status, verify and deploy agree that everything is as deployed', async () => {
    await apply();
    expect((await ask(...roles())).isUpToDate).toBe(true);
  });

  test.each([
    ['a privilege was taken', 'revoke select on credits.usage from AUDITOR'],
    ['PUBLIC got a privilege', 'grant select on credits.usage to public'],
    ['a function was changed', 'alter function credits.settle_due(int) reset search_path'],
    ['a trigger was disabled', 'alter table credits_private.accounts disable trigger user'],
    [
      'a view has a column less, as of an earlier version',
      `drop view credits.remaining cascade; create view credits.remaining as
       select account_id from credits_private.accounts`,
    ],
    ['a view has another owner', 'alter view credits.usage owner to current_user'],
  ])('status, verify and deploy agree where %s, and deploy repairs it', async (_, statement) => {
    await apply();
    await db.query(statement.replace('AUDITOR', `${prefix}credits_auditor`));
    const first = await ask(...roles());
    expect(first.isUpToDate).toBe(false);
    expect(first.status).toContain('run pg-credits deploy');
    expect((await ask(...roles())).isUpToDate).toBe(true);
  });

  test('status, verify and deploy agree where something is not ours: deploy refuses it until it is allowed', async () => {
    await apply();
    await db.query(`
      create function public.audit() returns trigger language plpgsql as 'begin return null; end';
      create trigger app_audit after insert on credits_private.entries
        for each row execute function public.audit();
      create function credits.app_total() returns bigint language sql set search_path = pg_temp return 1;
      revoke all on function credits.app_total() from public`);
    await db.query(`alter function credits.app_total() owner to ${prefix}credits_owner`);
    const found = await ask(...roles());
    expect(found.isUpToDate).toBe(false);
    expect(found.deploy).toMatch(/app_audit.*--allow NAME/);
    const allowed = [...roles(), '--allow', 'app_audit', '--allow', 'app_total'];
    const said = await ask(...allowed, '--allow', 'app_audti');
    expect(said.isUpToDate).toBe(true);
    for (const text of [said.verify, said.dry, said.deploy]) {
      expect(text).toContain('note: allowed, whatever it is: app_audit, app_total\n');
      expect(text).toContain('note: --allow app_audti: nothing in the schemas has that name\n');
    }
    const enabled = `select tgenabled::text as enabled from pg_trigger where tgname = 'app_audit'`;
    expect(await db.query(enabled)).toEqual([{ enabled: 'O' }]);
  });

  test('an index or a publication of somebody else is a note, as no promise is broken', async () => {
    await apply();
    await db.query(`create index app_units on credits_private.accounts (unit);
      create publication app_entries for table credits_private.entries`);
    const said = await ask(...roles());
    expect(said.isUpToDate).toBe(true);
    for (const text of [said.verify, said.deploy])
      expect(text).toContain(
        'note: index credits_private.accounts app_units is not ours, but does no harm',
      );
  });

  test('deploy does not recreate a missing index by guessing, and says what it was', async () => {
    await apply();
    await db.query('drop index credits_private.holds_open');
    const said = await ask(...roles());
    expect(said.deploy).toContain('index credits_private.holds holds_open is missing');
    expect((await ask(...roles(), '--allow', 'holds_open')).isUpToDate).toBe(true);
  });

  test('status, verify and deploy agree where roles are missing that the deploying user may not make', async () => {
    const url = await deployer();
    await apply(url);
    const options = [...roles()];
    const run = (...args: string[]) => said([...args, ...options, '--database-url', url]);
    const missing = `${prefix}credits_spender, ${prefix}credits_granter, ${prefix}credits_auditor`;
    expect(await run('status')).toContain(
      `up to date; missing roles: ${missing}, pg-credits deploy --dry-run says`,
    );
    expect(await run('verify')).toMatch(`${missing} may do; pg-credits deploy says how`);
    expect(await run('verify')).toMatch(/^all promises hold/m);
    for (const args of [['deploy', '--dry-run'], ['deploy']]) {
      const said = await run(...args);
      expect(said).toContain(`missing roles: ${missing}: sql/roles.sql`);
      expect(said).toContain(`create role "${prefix}credits_spender" nologin;`);
      expect(said).toMatch(/^nothing to do/m);
    }
  });

  test('status, verify and deploy agree where the role prefix is left out, or is another one', async () => {
    await db.query(
      ['owner', 'spender', 'granter', 'auditor']
        .map((kind) => `create role ${prefix}credits_${kind} nologin`)
        .join(';'),
    );
    const url = await deployer();
    await apply(url); // owned by the deploying user, so that its name does not tell the prefix
    const run = (...args: string[]) => said([...args, '--database-url', url]);
    expect(await run('status')).toContain('schema         up to date');
    expect(await run('verify')).toMatch(/^all promises hold/m);
    const told = `this database was deployed for ${prefix}credits_spender and the like: deploy with --role-prefix ${prefix}`;
    expect(await run('deploy')).toContain(told);
    expect(await run('deploy', '--role-prefix', 'other_')).toContain(told);
    expect(await run('verify', '--role-prefix', 'other_')).toContain(
      `this database has the role prefix '${prefix}': leave --role-prefix out`,
    );
    expect(await run('deploy', '--role-prefix', prefix)).toMatch(/^nothing to do/m);
  });
});

/** What pg_dump of these options writes, put into another database. */
async function restoreInto(target: Database, source: Database, ...options: string[]) {
  const sql = execFileSync('pg_dump', [...options, '-d', source.url], { maxBuffer: 1e9 });
  execFileSync('psql', ['-qX', '-v', 'ON_ERROR_STOP=1', '-d', target.url], { input: sql });
}

const hasClient = (() => {
  try {
    return execFileSync('pg_dump', ['--version'], { encoding: 'utf8' });
  } catch {
    return undefined;
  }
})();
const clientMajor = Number(/\d+/.exec(hasClient ?? '')?.[0] ?? 0);
if (!hasClient) console.log('no pg_dump here: restores are left out');

describe.skipIf(!hasClient)('a database that was restored', () => {
  let source: Database;
  beforeEach(async ({ skip }) => {
    source = await createDatabase({ empty: true });
    const [{ major }] = await source.query(
      `select current_setting('server_version_num')::int / 10000 as major`,
    );
    if (major > clientMajor) skip(`pg_dump ${clientMajor} does not read a server ${major}`);
    await deploy({ connectionString: source.url }, { rolePrefix: prefix });
    await source.query(`select from credits.grant_credits('acme', 100, 'g')`);
  });
  afterEach(() => source.drop());

  test('restored whole, nothing is to be done', async () => {
    await restoreInto(db, source);
    expect((await ask(...roles())).isUpToDate).toBe(true);
  });

  test('restored without privileges and owners, deploy puts them right', async () => {
    await restoreInto(db, source, '-O', '-x');
    expect((await ask(...roles())).isUpToDate).toBe(false);
    expect((await ask(...roles())).isUpToDate).toBe(true);
  });

  test('restored without privileges and owners, it still knows its role prefix', async () => {
    await restoreInto(db, source, '-O', '-x');
    expect(await said(['deploy', '--database-url', db.url])).toContain(
      `this database was deployed with --role-prefix ${prefix}: say so again, or --role-prefix ''`,
    );
  });

  test('restored under other role names, deploy takes it over for them', async () => {
    await restoreInto(db, source, '-O', '-x');
    const other = ['--role-prefix', `${prefix}other_`];
    expect((await ask(...other)).isUpToDate).toBe(false);
    expect((await ask(...other)).isUpToDate).toBe(true);
    expect(await said(['verify', '--database-url', db.url])).toMatch(/^all promises hold: 1 acc/m);
  });

  test('restored schema-only, what is there is recorded as applied and nothing runs twice', async () => {
    await restoreInto(db, source, '--schema-only');
    const first = await ask(...roles());
    expect(first.isUpToDate).toBe(false);
    expect(first.deploy).toContain(
      'recorded as applied, because their tables exist: migrations/0001',
    );
    expect(first.status).toMatch(/^schema +pending: .*run pg-credits deploy$/m);
    expect(first.verify).toContain('pending: run pg-credits deploy');
    expect((await ask(...roles())).isUpToDate).toBe(true);
    const names = await db.query('select name from credits_private.migrations order by id');
    expect(names).toHaveLength(readPackage().migrations.length);
    await db.query(`select from credits.grant_credits('acme', 100, 'g')`);
  });

  test('restored schema-only and then changed, it is refused', async () => {
    await restoreInto(db, source, '--schema-only');
    await db.query('alter table credits_private.grants alter column priority drop not null');
    expect(await said(['deploy', ...roles(), '--database-url', db.url])).toMatch(
      /^the schemas are not as pg-credits made them/,
    );
  });
});
