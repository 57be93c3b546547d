import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { type DeployOptions, deploy } from '../../scripts/deploy/deploy.ts';
import type { DeployReport } from '../../scripts/deploy/report.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { type Files, packageWith } from './fixture.ts';

let db: Database;
let prefix: string;
beforeEach(async () => {
  db = await createDatabase({ empty: true, ownRoles: true });
  prefix = db.rolePrefix;
});
afterEach(() => db.drop());

/** A login role with these attributes, and the URL to deploy as it. */
async function deployer(attributes: string, mayCreate = true): Promise<string> {
  const name = `${prefix}deployer`;
  await db.query(`create role ${name} login password 'p' ${attributes}`);
  if (mayCreate) await db.query(`grant create on database ${db.name} to ${name}`);
  const url = new URL(db.url);
  url.username = name;
  url.password = 'p';
  return url.href;
}

const apply = (url: string, changes: Files = {}, options: DeployOptions = {}) =>
  deploy({ connectionString: url }, { root: packageWith(changes), rolePrefix: prefix, ...options });

const owners = async () => {
  const rows = await db.query(
    `select distinct pg_get_userbyid(owner) as owner from (
       select nspowner as owner from pg_namespace where nspname like 'credits%'
       union all select relowner from pg_class where relnamespace::regnamespace::text like 'credits%'
       union all select proowner from pg_proc where pronamespace::regnamespace::text like 'credits%'
       union all select typowner from pg_type where typnamespace::regnamespace::text like 'credits%'
     ) o`,
  );
  return rows.map((row) => row.owner);
};

const spenderMayBump = async () =>
  (
    await db.one(`select has_function_privilege($1, 'credits.bump(text)', 'execute') as may`, [
      `${prefix}credits_spender`,
    ])
  ).may;

/** What deploy asked for, run by the superuser. */
const administer = async (report: DeployReport) => {
  for (const statement of report.administratorStatements) await db.query(statement);
};

const everyKind: Files = {
  'migrations/0002_notes.sql': `
    create type credits.mood as enum ('good', 'bad');
    create type credits.pair as (a int, b text);
    create domain credits_private.short as text check (length(value) < 9);
    create table credits_private.notes (id serial primary key, note credits_private.short);
    create sequence credits_private.loose;
    create procedure credits_private.nothing() language sql as 'select 1';
    create aggregate credits_private.total(bigint) (sfunc = int8pl, stype = bigint);
    create materialized view credits_private.kept as select 1 as one;`,
};

test('deployed by a superuser, credits_owner owns everything and logs in nowhere', async () => {
  const report = await apply(db.url, everyKind);
  expect(report).toMatchObject({
    owner: `${prefix}credits_owner`,
    ownerIsDeployer: false,
    ownerIsSuperuser: false,
    missingRoles: [],
    administratorStatements: [],
  });
  expect(report.createdRoles).toHaveLength(4);
  expect(await owners()).toEqual([`${prefix}credits_owner`]);
  const roles = await db.query(
    'select rolcanlogin or rolsuper or rolcreaterole or rolcreatedb as mighty from pg_roles where starts_with(rolname, $1)',
    [`${prefix}credits_`],
  );
  expect(roles).toEqual(Array(4).fill({ mighty: false }));
  expect(await spenderMayBump()).toBe(true);
});

test('deployed with CREATEROLE, the roles are made and credits_owner owns everything', async () => {
  const url = await deployer('createrole');
  const report = await apply(url, everyKind);
  expect(report).toMatchObject({ owner: `${prefix}credits_owner`, administratorStatements: [] });
  expect(await owners()).toEqual([`${prefix}credits_owner`]);
  expect(await spenderMayBump()).toBe(true);
  expect(await apply(url, everyKind)).toMatchObject({ upToDate: true });
  expect(await apply(url, everyKind, { dryRun: true })).toMatchObject({ upToDate: true });
});

test('since Postgres 16 the deploying user does not inherit what the owner may', async () => {
  if (inject('major') < 16) return;
  const url = await deployer('createrole');
  await apply(url);
  const row = await db.one(
    `select has_table_privilege($1, 'credits_private.accounts', 'select') as may`,
    [`${prefix}deployer`],
  );
  expect(row.may).toBe(false);
});

test('deploy without CREATEROLE goes on and says what an administrator must run, and the next deploy takes it up', async () => {
  const url = await deployer('');
  const first = await apply(url, everyKind);
  expect(first).toMatchObject({ owner: `${prefix}deployer`, ownerIsDeployer: true });
  expect(first.missingRoles).toHaveLength(4);
  expect(first.files).not.toContain('sql/roles.sql');
  const options = inject('major') < 16 ? '' : ' with set true, inherit false';
  expect(first.administratorStatements).toEqual([
    ...['owner', 'spender', 'granter', 'auditor'].map(
      (kind) => `create role "${prefix}credits_${kind}" nologin;`,
    ),
    `grant "${prefix}credits_owner" to "${prefix}deployer"${options};`,
  ]);
  expect(await owners()).toEqual([`${prefix}deployer`]);
  expect(await db.one(`select credits.bump('acme') as balance`)).toEqual({ balance: 1 });

  expect(await apply(url, everyKind)).toMatchObject({ upToDate: true, ownerIsDeployer: true });

  await administer(first);
  const preview = await apply(url, everyKind, { dryRun: true });
  expect(preview).toMatchObject({ ownershipTransferred: true, owner: `${prefix}credits_owner` });
  const next = await apply(url, everyKind);
  expect(next).toMatchObject({
    owner: `${prefix}credits_owner`,
    ownerIsDeployer: false,
    ownershipTransferred: true,
    administratorStatements: [],
  });
  expect(next.files).toContain('sql/roles.sql');
  expect(await owners()).toEqual([`${prefix}credits_owner`]);
  expect(await spenderMayBump()).toBe(true);
  expect(await db.one(`select credits.bump('acme') as balance`)).toEqual({ balance: 2 });
  expect(await apply(url, everyKind)).toMatchObject({ upToDate: true });
});

test('deploy asks for one statement when an administrator has made the roles and granted nothing', async () => {
  for (const kind of ['owner', 'spender', 'granter', 'auditor'])
    await db.query(`create role ${prefix}credits_${kind} nologin`);
  const report = await apply(await deployer(''));
  expect(report.administratorStatements).toHaveLength(1);
  expect(report.administratorStatements[0]).toMatch(/^grant ".*credits_owner" to /);
  expect(report.files).toContain('sql/roles.sql');
});

test('a superuser takes over what a user without rights deployed', async () => {
  await apply(await deployer(''));
  expect(await apply(db.url)).toMatchObject({ ownershipTransferred: true });
  expect(await owners()).toEqual([`${prefix}credits_owner`]);
});

test('after a superuser deployed, an ordinary user may not, and is told what would change that', async () => {
  await apply(db.url);
  const url = await deployer('');
  const failure = await apply(url).catch((error) => error);
  expect(failure.message).toMatch(/^the schemas belong to .*: an administrator must run: grant /);
  await db.query(failure.message.slice(failure.message.indexOf('grant ')));
  expect(await apply(url, {}, { reapply: true })).toMatchObject({
    owner: `${prefix}credits_owner`,
    administratorStatements: [],
  });
});

test('deploy without the right to create schemas is refused with the statements, which a dry run lists', async () => {
  const url = await deployer('', false);
  const statement = `grant create on database "${db.name}" to "${prefix}deployer";`;
  await expect(apply(url)).rejects.toThrow(statement);
  const report = await apply(url, {}, { dryRun: true });
  expect(report.administratorStatements).toContain(statement);
  await administer(report);
  expect((await apply(url)).administratorStatements).toEqual([]);
});

test('deploy refuses another role prefix than the database was deployed with', async () => {
  await apply(db.url);
  await expect(apply(db.url, {}, { rolePrefix: `${prefix}other_` })).rejects.toThrow(
    `this database belongs to ${prefix}credits_owner: deploy with --role-prefix ${prefix}`,
  );
});

test('deploy gives roles that were dropped and made again their privileges back', async () => {
  await apply(db.url);
  await db.query(`drop owned by ${prefix}credits_spender; drop role ${prefix}credits_spender`);
  const report = await apply(db.url);
  expect(report).toMatchObject({
    createdRoles: [`${prefix}credits_spender`],
    files: ['sql/roles.sql'],
  });
  expect(await spenderMayBump()).toBe(true);
});
