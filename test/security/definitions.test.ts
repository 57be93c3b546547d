import { beforeAll, describe, expect, test } from 'vitest';
import { catalogueQuery } from '../../scripts/snapshot/catalogue.ts';
import { useDatabase } from '../support/database.ts';
import { attempts, login } from './sessions.ts';

// What is ours is nobody else's to define: each role against each object that the catalogue has.
const db = useDatabase();
const roles = ['credits_spender', 'credits_granter', 'credits_auditor', undefined];
beforeAll(() => db.query('create schema playground; grant all on schema playground to public'));

const names = async (query: string): Promise<string[]> =>
  (await db.query(query)).map(({ name }) => name);
const inOurs = `in ('credits', 'credits_private')`;
const routines = () =>
  names(`select oid::regprocedure::text as name from pg_proc
    where pronamespace::regnamespace::text ${inOurs}`);
const relations = (kinds: string) =>
  names(`select oid::regclass::text as name from pg_class
    where relnamespace::regnamespace::text ${inOurs} and relkind in (${kinds})`);
const types = () =>
  names(`select oid::regtype::text as name from pg_type
    where typnamespace::regnamespace::text ${inOurs} and typcategory <> 'A'`);

const ofRoutine = (name: string) => [
  `alter routine ${name} reset all`,
  `alter routine ${name} rename to evil`,
  `alter routine ${name} owner to current_user`,
  `alter routine ${name} set schema playground`,
  `drop routine ${name} cascade`,
  `comment on routine ${name} is 'evil'`,
];
const ofTable = (name: string) => [
  `alter table ${name} disable trigger all`,
  `alter table ${name} add column evil int`,
  `alter table ${name} owner to current_user`,
  `alter table ${name} rename to evil`,
  `alter table ${name} disable row level security`,
  `create index on ${name} ((1))`,
  `create policy evil on ${name}`,
  `create rule evil as on insert to ${name} do instead nothing`,
  `create table playground.child () inherits (${name})`,
  `reindex table ${name}`,
  `drop table ${name} cascade`,
  `comment on table ${name} is 'evil'`,
];
const ofView = (name: string) => [
  `create or replace view ${name} as select 1 as evil`,
  `alter view ${name} owner to current_user`,
  `alter view ${name} rename to evil`,
  `alter view ${name} set (security_invoker = true)`,
  `create rule evil as on insert to ${name} do instead nothing`,
  `create trigger evil instead of insert on ${name} for each row
     execute function suppress_redundant_updates_trigger()`,
  `drop view ${name} cascade`,
  `comment on view ${name} is 'evil'`,
];
const ofType = (name: string) => [
  `create table playground.evil (evil ${name})`,
  `create table playground.evil (evil ${name}[])`,
  `create type playground.evil as (evil ${name})`,
  `create domain playground.evil as ${name}`,
  `create function playground.evil(${name}) returns int language sql return 1`,
  `create function playground.evil() returns ${name} language sql as 'select null'`,
  `create cast (${name} as text) with inout as implicit`,
  `comment on type ${name} is 'evil'`,
];
const ofSchema = (name: string) => [
  `create table ${name}.evil ()`,
  `create view ${name}.evil as select 1`,
  `create sequence ${name}.evil`,
  `create type ${name}.evil as enum ()`,
  `create domain ${name}.evil as text`,
  `create function ${name}.evil() returns int language sql return 1`,
  `create function ${name}.deduct_credits(text, int, text) returns int language sql return 1`,
  `create operator ${name}.= (leftarg = bigint, rightarg = bigint, function = int8ne)`,
  `create collation ${name}.evil from "C"`,
  `alter schema ${name} rename to evil`,
  `alter schema ${name} owner to current_user`,
  `drop schema ${name} cascade`,
  `comment on schema ${name} is 'evil'`,
];
const ofRole = (name: string) => [
  `set role ${name}`,
  `set session authorization ${name}`,
  `grant ${name} to current_user`,
  `alter role ${name} login password 'evil'`,
  `alter role ${name} set search_path = evil`,
  `drop role ${name}`,
  `drop owned by ${name}`,
  `reassign owned by ${name} to current_user`,
  `alter default privileges for role ${name} grant all on tables to public`,
];

async function refused(role: string | undefined, statements: string[], code = /^42501$/) {
  expect(statements.length).toBeGreaterThan(1);
  const codes = await attempts(await login(db, role), statements);
  for (const [i, each] of codes.entries()) expect(each, statements[i]).toMatch(code);
}

describe.each(roles)('%s defines', (role) => {
  test('no function', async () => refused(role, (await routines()).flatMap(ofRoutine)));
  test('no table', async () => refused(role, (await relations(`'r', 'p'`)).flatMap(ofTable)));
  test('no view', async () => refused(role, (await relations(`'v', 'm'`)).flatMap(ofView)));

  test('nothing with a type, nor the type', async () => {
    const all = await types();
    await refused(role, all.flatMap(ofType));
    // The type of a row is its table's to drop, whoever asks.
    await refused(
      role,
      all.map((name) => `drop type ${name} cascade`),
      /^(42501|42809)$/,
    );
  });

  test('nothing in a schema, nor the schema', () =>
    refused(role, ['credits', 'credits_private'].flatMap(ofSchema)));

  test('no role, and becomes none but its own', async () => {
    const others = ['owner', 'spender', 'granter', 'auditor'].map((kind) => `credits_${kind}`);
    const names = others.filter((each) => each !== role).map((each) => db.rolePrefix + each);
    await refused(role, names.flatMap(ofRole));
  });

  test('no privilege of anybody', async () => {
    const before = await db.query(`${catalogueQuery} order by 1, 2, 3`, [db.rolePrefix]);
    expect(before.length).toBeGreaterThan(300);
    const client = await login(db, role);
    const grants = [
      ...(await routines()).map((name) => `routine ${name}`),
      ...(await relations(`'r', 'p', 'v', 'm'`)),
      ...(await types()).map((name) => `type ${name}`),
      'schema credits',
      'schema credits_private',
    ];
    // Where there is something to pass on, but no right to, Postgres warns, and does nothing.
    const auditor = `${db.rolePrefix}credits_auditor`;
    for (const change of ['grant all on % to public', `revoke all on % from ${auditor}`]) {
      await attempts(
        client,
        grants.map((each) => change.replace('%', each)),
        true,
      );
      expect(await db.query(`${catalogueQuery} order by 1, 2, 3`, [db.rolePrefix])).toEqual(before);
    }
  });
});
