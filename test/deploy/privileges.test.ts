import { afterEach, beforeEach, expect, test } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import { within } from './fixture.ts';

let db: Database;
let prefix: string;
let anon: string;
beforeEach(async () => {
  db = await createDatabase({ empty: true, ownRoles: true });
  prefix = db.rolePrefix;
  anon = `${prefix}anon`;
  await db.query(`create role ${anon} login password 'p'`);
});
afterEach(() => db.drop());

const apply = (options = {}) =>
  deploy({ connectionString: db.url }, { rolePrefix: prefix, ...options });
const verify = (...args: string[]) => within(['verify', ...args, '--database-url', db.url]);
const mayGrant = async () =>
  (
    await db.one(
      `select pg_catalog.bool_or(has_function_privilege($1, oid, 'execute')) as may
       from pg_proc where pronamespace in ('credits'::regnamespace, 'credits_private'::regnamespace)`,
      [anon],
    )
  ).may;

test('deploy revokes what default privileges give and says so, and verify finds what is given later', async () => {
  const { user } = await db.one('select current_user as user');
  await db.query(`create role ${prefix}credits_owner nologin`);
  for (const role of [user, `${prefix}credits_owner`])
    await db.query(`
      alter default privileges for role ${role} grant execute on functions to ${anon};
      alter default privileges for role ${role} grant all on tables to ${anon};
      alter default privileges for role ${role} grant usage on types to ${anon};
      alter default privileges for role ${role} grant all on schemas to ${anon}`);
  const report = await apply();
  expect(report.notes).toContainEqual(
    expect.stringMatching(`^revoked the privileges of ${anon} on \\d\\d+ of our objects`),
  );
  expect(await mayGrant()).toBe(false);
  expect(await verify()).toMatchObject({ code: 0 });
  expect(await discrepancies(db)).toEqual([]);

  await db.query(`grant usage on schema credits to ${anon};
    grant execute on function credits.open_account to ${anon}`);
  const found = await verify();
  expect(found.code).toBe(1);
  expect(found.stdout).toMatch(
    `only_granted_roles_can_call  -        privilege ${anon} on function`,
  );
  expect(await discrepancies(db)).toEqual([
    {
      account: null,
      finding: ['only_granted_roles_can_call', 'credits', 'nothing', `USAGE for ${anon}`],
    },
    {
      account: null,
      finding: [
        'only_granted_roles_can_call',
        expect.stringMatching(/^credits\.open_account\(/),
        'nothing',
        `EXECUTE for ${anon}`,
      ],
    },
  ]);
  expect((await apply()).upToDate).toBe(false);
  expect(await mayGrant()).toBe(false);
  expect(await verify()).toMatchObject({ code: 0 });
});

test('deploy --allow leaves a role what it may do', async () => {
  await apply();
  await db.query(
    `grant usage on schema credits to ${anon}; grant select on credits.invoice to ${anon}`,
  );
  expect(await apply({ allow: [anon], reapply: true })).toMatchObject({
    notes: expect.arrayContaining([`allowed, whatever it is: ${anon}`]),
  });
  expect(await apply({ allow: [anon] })).toMatchObject({ upToDate: true });
  expect(await verify('--allow', anon)).toMatchObject({ code: 0 });
  expect(await verify()).toMatchObject({ code: 1 });
});

test('deploy revokes what a role of ours may do beyond sql/roles.sql', async () => {
  await apply();
  await db.query(`grant execute on function credits.open_account to ${prefix}credits_spender`);
  expect(await verify()).toMatchObject({ code: 1 });
  expect((await apply()).files).toContain('sql/roles.sql');
  expect(await verify()).toMatchObject({ code: 0 });
});

test('verify finds, and deploy revokes, what anybody may do with the sequence of a table', async () => {
  await apply();
  await db.query(`grant all on sequence credits_private.migrations_id_seq to ${anon}`);
  expect((await verify()).stdout).toContain(
    `privilege ${anon} on sequence credits_private.migrations_id_seq`,
  );
  await apply();
  expect(await verify()).toMatchObject({ code: 0 });
});

test('the role of another deployment, with our name but without the prefix, is not taken for ours', async () => {
  const bare = 'credits_spender';
  const { was } = await db.one('select count(*) > 0 as was from pg_roles where rolname = $1', [
    bare,
  ]);
  if (!was) await db.query(`create role ${bare}`);
  await apply();
  await db.query(`
    grant execute on function credits.hold_credits to ${bare};
    revoke execute on function credits.hold_credits from ${prefix}${bare}`);
  const found = await verify();
  expect(found.code).toBe(1);
  expect(found.stdout).toContain(`privilege "${bare}" on function credits.hold_credits`);
  expect(await verify('--allow', bare)).toMatchObject({ code: 1 });
  await apply();
  expect(await verify()).toMatchObject({ code: 0 });
  if (!was) await db.query(`drop role ${bare}`);
});

test('a role whose name begins with that of an allowed one is not allowed', async () => {
  await apply();
  const longer = `${anon} too`;
  await db.query(`create role "${longer}"; grant select on credits.invoice to "${longer}"`);
  expect(await verify('--allow', anon)).toMatchObject({ code: 1 });
  expect(await verify('--allow', longer)).toMatchObject({ code: 0 });
});

test('deploy uses an owner role that was there before, and names its members and attributes', async () => {
  const owner = `${prefix}credits_owner`;
  await db.query(`create role ${owner} login createdb; grant ${owner} to ${anon}`);
  const notes = [
    `${owner} owns everything and may log in, create databases: alter role "${owner}" nologin nocreaterole nocreatedb nobypassrls noreplication`,
    `these may act as ${owner}, who owns everything, and so change any figure: ${anon}`,
  ];
  expect((await apply()).notes).toEqual(notes);
  const verified = await verify();
  expect(verified.code).toBe(0);
  for (const note of notes) expect(verified.stdout).toContain(`note: ${note}\n`);
  await db.query(`alter role ${owner} nologin nocreatedb; revoke ${owner} from ${anon}`);
  expect((await apply()).notes).toEqual([]);
});
