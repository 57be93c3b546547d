import pg from 'pg';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { readParties } from '../../../scripts/adoption/app/parties.ts';
import { compare } from '../../../scripts/adoption/compare/compare.ts';
import { cutover, planCutover } from '../../../scripts/adoption/cutover/cutover.ts';
import { rollback } from '../../../scripts/adoption/cutover/rollback.ts';
import { type Mapping, parseMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { installShadow } from '../../../scripts/adoption/shadow/install.ts';
import { createDatabase, type Database, raised } from '../../support/database.ts';
import { adoptAll } from '../app.ts';

// Tables of the kinds that apps have, other than the simplest.

let db: Database;
beforeEach(async () => {
  db = await createDatabase();
});
const clients: pg.Client[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end()));
  await db.drop();
});

const user = '11111111-2222-3333-4444-555555555555';
const tables = `
  create schema app;
  create type app.kind as enum ('purchase', 'usage');
  create table app.users (id uuid primary key, email text, credits int not null default 0);
  create table app.moves (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references app.users,
    amount int not null,
    kind app.kind,
    key_id uuid,
    at timestamp not null default (now() at time zone 'UTC')
  );
  insert into app.users values ('${user}', 'a@example.org', 70);
  insert into app.moves (user_id, amount, kind) values ('${user}', 100, 'purchase'), ('${user}', -30, 'usage')`;

const parts = {
  balances: { table: 'app.users', account_id: 'id', balance: 'credits' },
  transactions: {
    table: 'app.moves',
    account_id: 'user_id',
    transaction_id: 'id',
    amount: 'amount',
    created_at: "at at time zone 'UTC'",
    kind: 'kind',
    api_key_id: 'key_id',
  },
};
const mappingWith = (transactions: Record<string, string> = {}) =>
  parseMapping(
    JSON.stringify({ ...parts, transactions: { ...parts.transactions, ...transactions } }),
  );

async function prepare(mapping: Mapping, url = db.url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  clients.push(client);
  await client.query(`begin; set local search_path = ''`);
  await installShadow(client, mapping, await readParties(client));
  await client.query('commit');
  await adoptAll(db, { book: 'opening', trust: 'transactions' }, { mapping, client });
  return { client, parties: await readParties(client) };
}

const log = () => {};

test('a cutover keeps uuids, enums, whole numbers of 4 bytes and times without zone', async () => {
  await db.query(tables);
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  const report = await cutover(client, mapping, parties, { oneWay: false, log });
  expect(report.left).toEqual([]);
  expect(report.notes).toEqual([
    'app.moves: "id" of a new transaction is made from its account and number in the ledger',
    'app.moves: null in new transactions: "kind"',
    expect.stringMatching(/^a view has no primary key: /),
  ]);
  // The note says which write fails, and which does not.
  const grouped = 'select u.id, u.email from app.users as u group by u.id';
  expect(await raised(db.query(grouped))).toMatchObject({ code: '42803' });
  expect(await db.query(`${grouped}, u.email`)).toHaveLength(1);
  expect(await raised(db.query('copy app.users to stdout'))).toMatchObject({ code: '42809' });
  // A key in another form than the app's concerns none of its rows; nor does an account that it
  // does not have.
  await db.query(
    `select from credits.deduct_credits('${user}', 5, 'r1', p_api_key_id => 'no uuid')`,
  );
  await db.query(
    `select from credits.deduct_credits('${user}', 6, 'r2', p_api_key_id => '${user}')`,
  );
  await db.query(`select from credits.grant_credits('another app', 5, 'p1')`);
  const rows = () =>
    db.query(
      `select id, user_id, amount, kind, key_id, at > now() at time zone 'UTC' - interval '1 hour' as now
       from app.moves where user_id = '${user}' order by at`,
    );
  const before = await rows();
  expect(before.map(({ id: _, ...row }) => Object.values(row))).toEqual([
    [user, 100, 'purchase', null, true],
    [user, -30, 'usage', null, true],
    [user, -5, null, null, true],
    [user, -6, null, user, true],
  ]);
  expect(await rows()).toEqual(before);
  expect(await db.query('select * from app.users')).toEqual([
    { id: user, email: 'a@example.org', credits: 59 },
  ]);
  const { transactions } = await rollback(client, mapping, parties, log);
  expect(transactions).toBe(2);
  expect(await rows()).toEqual(before);
  expect(await db.query('select credits from app.users')).toEqual([{ credits: 59 }]);
});

test("after a cutover, an old reader's query for one user reads no other user's entries", async () => {
  await db.query(tables);
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  await cutover(client, mapping, parties, { oneWay: false, log });
  // Some size it must have: an account counts as a thousand entries, and of a small ledger all may
  // be read.
  await db.query(
    `select count(*)
     from generate_series(1, 3000) as i, credits.grant_credits('other ' || i, 1, 'grant')`,
  );
  await db.query('analyze credits_private.entries');
  await client.query('set enable_seqscan = off');
  const { rows } = await client.query(
    `explain (format json, costs off) select * from app.moves where user_id = '${user}'`,
  );
  const nodes = JSON.stringify(rows).match(/"Relation Name":"entries"[^{}]*/g) ?? [];
  expect(nodes.length).toBeGreaterThan(0);
  for (const node of nodes) expect(node).toMatch(/"(Index|Recheck) Cond":"\(+account_id = /);
});

test('a cutover keeps privileges and the owner, and names a grant that is missing', async () => {
  const [app, reader] = [`${db.rolePrefix}app_owner`, `${db.rolePrefix}app_reader`];
  await db.query(
    `create role ${app}; create role ${reader}; ${tables};
     grant usage on schema app to ${reader};
     grant select on app.users to ${reader} with grant option;
     grant select (id, amount), update (kind) on app.moves to ${reader};
     grant select on app.moves to public;
     alter schema app owner to ${app}; alter table app.users owner to ${app}; alter table app.moves owner to ${app};
     grant create on schema app to ${app}`,
  );
  // What is created from now on is open to more than these tables are.
  await db.query(
    `alter default privileges in schema app grant all on tables to ${reader}; alter default privileges grant select on tables to public`,
  );
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  const run = () => cutover(client, mapping, parties, { oneWay: false, log });
  const auditor = `"${db.rolePrefix}credits_auditor"`;
  await expect(run()).rejects.toThrow(
    `${app}, who owns app.users, may not read credits.entries: an administrator must run: grant ${auditor} to "${app}";`,
  );
  await db.query(`grant ${auditor} to ${app}`);
  const acls = () =>
    db.query(
      `select c.relname, c.relacl::text, pg_get_userbyid(c.relowner) as owner,
        array(select a.attname || a.attacl::text from pg_attribute as a
          where a.attrelid = c.oid and a.attacl is not null order by 1) as columns
       from pg_class as c where c.relname in ('users', 'moves') order by 1`,
    );
  const before = await acls();
  await run();
  expect(await acls()).toEqual(before);
  const client2 = await db.connect();
  await client2.query(`set role ${reader}`);
  const { rows } = await client2.query('select credits from app.users');
  expect(rows).toEqual([{ credits: 70 }]);
});

test('the owner of the tables, who is no superuser, can cut over and roll back', async () => {
  const [app, owner] = [`${db.rolePrefix}app_login`, `${db.rolePrefix}credits_owner`];
  await db.query(
    `${tables}; create role ${app} login password 'p';
     alter schema app owner to ${app}; alter table app.users owner to ${app};
     alter table app.moves owner to ${app}; alter type app.kind owner to ${app};
     grant create on database ${db.name} to ${app};
     grant ${owner}, ${db.rolePrefix}credits_auditor to ${app}`,
  );
  // As deploy says it should be, where that can be said: the owner's rights are not for daily life.
  if (inject('major') >= 16)
    await db.query(`grant ${owner} to ${app} with set true, inherit false`);
  const mapping = mappingWith();
  const url = new URL(db.url);
  Object.assign(url, { username: app, password: 'p' });
  const { client, parties } = await prepare(mapping, url.href);
  expect((await cutover(client, mapping, parties, { oneWay: false, log })).left).toEqual([]);
  await db.query(`select from credits.deduct_credits('${user}', 5, 'r1')`);
  const { rows } = await client.query('select credits from app.users');
  expect(rows).toEqual([{ credits: 65 }]);
  expect(await rollback(client, mapping, parties, log)).toMatchObject({
    transactions: 1,
    figures: 1,
  });
  await client.query(`insert into app.moves (user_id, amount) values ('${user}', -1)`);
  expect(await compare(client, mapping, parties)).toMatchObject({ agree: 1n, mirrored: 1n });
});

test('a cutover leaves a table that no view can replace, and says why', async () => {
  await db.query(`${tables}; alter table app.users enable row level security`);
  const unsigned = mappingWith({
    amount: "case when kind = 'usage' then -abs(amount) else amount end",
  });
  const { client, parties } = await prepare(unsigned);
  await client.query(`begin; set local search_path = ''`);
  await expect(planCutover(client, unsigned, parties)).rejects.toThrow(
    `no table can be replaced by a view:
app.users: it has row level security, which a view in its place would let its readers past
app.moves: its amount is an expression, not a column`,
  );
  await client.query('alter table app.users disable row level security');
  const { report } = await planCutover(client, unsigned, parties);
  expect(report.left).toEqual(['app.moves: its amount is an expression, not a column']);
  expect(report.one_way).toEqual([
    'app.moves stays, and what the ledger books could not be written to it',
  ]);
  await client.query('commit');
  await expect(cutover(client, unsigned, parties, { oneWay: false, log })).rejects.toThrow(
    /^a rollback would be impossible, nothing was changed:\napp\.moves stays, .*--one-way$/s,
  );
  await cutover(client, unsigned, parties, { oneWay: true, log });
  // What the old code writes to the table that stays is still mirrored.
  await db.query(`insert into app.moves (user_id, amount, kind) values ('${user}', 7, 'usage')`);
  expect(await db.query('select credits from app.users')).toEqual([{ credits: 63 }]);
});

test('a cutover says beforehand which column or constraint makes a rollback impossible', async () => {
  await db.query(
    `${tables}; alter table app.moves add column source text not null default 'web', add column note text;
     update app.moves set note = ''; alter table app.moves alter column note set not null`,
  );
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  const run = () => cutover(client, mapping, parties, { oneWay: false, log });
  await expect(run()).rejects.toThrow(
    'column "note" of app.moves must not be null, and nothing is mapped to it',
  );
  await db.query('alter table app.moves drop column note, add check (amount <> -1) not valid');
  await expect(run()).rejects.toThrow(
    /^a rollback would be impossible, nothing was changed:\napp\.moves would not take a grant or a deduction: .*violates check constraint/,
  );
  await db.query('alter table app.moves drop constraint moves_amount_check');
  await run();
});

test('a cutover refuses a kind of a type of its own, unless it has a default', async () => {
  await db.query(`${tables}; alter table app.moves alter column kind set not null`);
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  const run = () => cutover(client, mapping, parties, { oneWay: false, log });
  await expect(run()).rejects.toThrow(
    '\ncolumn "kind" of app.moves must not be null, and its type app.kind does not take what the ledger has for it: give it a default\n',
  );
  await db.query(`alter table app.moves alter column kind set default 'usage'`);
  expect((await run()).one_way).toEqual([]);
});

test('a cutover names what depends on a table, and stops at a name that is taken', async () => {
  await db.query(
    `${tables};
    create view app.summary as select sum(credits) from app.users;
    create table app.orders (
      user_id uuid references app.users,
      move uuid constraint paid_by references app.moves
    );
    create policy rich on app.orders using (exists (select from app.users as u where u.credits > 5));
    create rule orders_cost as on insert to app.orders do also update app.users set credits = credits - 1;
    create function app."Spend"(amount int) returns void
    begin atomic
      update app.users set credits = credits - amount;
    end`,
  );
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  await client.query(`begin; set local search_path = ''`);
  const { report } = await planCutover(client, mapping, parties);
  const stays = 'goes on with app.users_before_pg_credits: create it again';
  expect(report.notes).toEqual([
    `function app."Spend"(integer) ${stays}`,
    `policy rich on app.orders ${stays}`,
    `rule orders_cost on app.orders ${stays}`,
    `view app.summary ${stays}`,
    expect.stringMatching(/^app\.moves: "id" of a new transaction/),
    expect.stringMatching(/^app\.moves: null in new/),
    'foreign key paid_by of app.orders points to app.moves_before_pg_credits, which has no new transactions: drop it, or a write that names one fails',
    expect.stringMatching(/^a view has no primary key: /),
  ]);
  await client.query('create table app.users_before_pg_credits ()');
  expect((await planCutover(client, mapping, parties)).report.left).toEqual([
    'app.users: there is no room for the name app.users_before_pg_credits',
  ]);
  await client.query('rollback');
});

/** What apps have: a trigger, whose function names a table without its schema. */
const triggerOn = (table: string, when: string, does: string) =>
  `create function app.on_${table}() returns trigger language plpgsql as $$ begin ${does}; return null; end $$;
   create trigger ${table}_trigger after ${when} on app.${table} for each row execute function app.on_${table}()`;

/** As a session with the app's schema in its search_path. */
async function prepareWithin(mapping: Mapping) {
  await db.query(`alter role current_user in database ${db.name} set search_path = app, public`);
  return prepare(mapping);
}

test("the app's own triggers find their tables after a cutover and after a rollback", async () => {
  await db.query(
    `${tables};
    ${triggerOn('moves', 'insert', 'update users set credits = credits + new.amount where id = new.user_id')};
    create table app.log (credits int);
    ${triggerOn('users', 'update', 'insert into log values (new.credits)')}`,
  );
  const mapping = mappingWith();
  const { client, parties } = await prepareWithin(mapping);
  const report = await cutover(client, mapping, parties, { oneWay: false, log });
  expect(report.one_way).toEqual([]);
  await db.query(`select from credits.deduct_credits('${user}', 5, 'r1')`);
  await rollback(client, mapping, parties, log);
  expect(await db.query('select credits from app.users')).toEqual([{ credits: 65 }]);
  expect(await db.query('select credits from app.log')).toEqual([{ credits: 65 }]);
  expect((await client.query('show search_path')).rows).toEqual([{ search_path: 'app, public' }]);
});

test('a cutover says beforehand which trigger would refuse a figure', async () => {
  await db.query(`${tables}; ${triggerOn('users', 'update', `raise 'no %', new.credits`)}`);
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  await expect(cutover(client, mapping, parties, { oneWay: false, log })).rejects.toThrow(
    'a rollback would be impossible, nothing was changed:\napp.users would not take another figure: no 71\n',
  );
});

const logging = (row: string) =>
  `create function app.log_credits() returns trigger language plpgsql as $$
   begin
     insert into app.moves (user_id, amount) values (new.id, ${row});
     return null;
   end $$;
   create trigger log_credits after update of credits on app.users
     for each row when (old.credits <> new.credits) execute function app.log_credits()`;

test('a trigger that writes transactions of its own stops a rollback, until it is disabled', async () => {
  await db.query(`${tables}; ${logging('new.credits - old.credits')}`);
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  const { notes } = await cutover(client, mapping, parties, { oneWay: false, log });
  expect(notes).toContain(
    'before a rollback, disable what writes to app.moves when app.users is written to: log_credits on app.users_before_pg_credits',
  );
  await db.query(`select from credits.deduct_credits('${user}', 5, 'r1')`);
  await expect(rollback(client, mapping, parties, log)).rejects.toThrow(
    `nothing was changed: with what was written back, the tables would not say what the ledger says:
app.moves has 2 new rows instead of 1
account ${user}: the transactions say 60, the ledger 65: it differs by 5
if a trigger writes balances or transactions of its own, disable it, run this again, and enable it then: log_credits on app.users_before_pg_credits`,
  );
  expect(await db.query('select credits from app.users')).toEqual([{ credits: 65 }]);
  await db.query('alter table app.users_before_pg_credits disable trigger log_credits');
  expect(await rollback(client, mapping, parties, log)).toMatchObject({ transactions: 1 });
  await db.query('alter table app.users enable trigger log_credits');
  await db.query('update app.users set credits = 60');
  expect(await compare(client, mapping, parties)).toMatchObject({ agree: 1n, mirrored: 1n });
});

test('after a cutover, code that would still write to a table that stepped aside fails loudly', async () => {
  await db.query(
    `${tables};
    alter table app.moves drop constraint moves_user_id_fkey,
      add foreign key (user_id) references app.users on delete cascade;
    create function app.spend(amount int) returns void
    begin atomic
      update app.users set credits = credits - spend.amount;
    end;
    create function app.note(amount int) returns void
    begin atomic
      insert into app.moves (user_id, amount) values ('${user}', note.amount);
    end;
    create function app.rename() returns void
    begin atomic
      update app.users set email = 'b@example.org';
    end`,
  );
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  await cutover(client, mapping, parties, { oneWay: false, log });
  expect(await raised(db.query('select app.spend(5)'))).toMatchObject({
    code: '55000',
    message: expect.stringMatching(
      /^app\.users_before_pg_credits is no longer written to: the ledger has its credits since 20/,
    ),
    hint: 'Call credits.deduct_credits or credits.grant_credits. A function, rule or policy that was made before means app.users_before_pg_credits: create it again, and it means app.users.',
  });
  expect(await raised(db.query('select app.note(-5)'))).toMatchObject({ code: '55000' });
  for (const change of [
    'update app.moves_before_pg_credits set amount = 0',
    'delete from app.moves_before_pg_credits',
  ])
    expect(await raised(db.query(change))).toMatchObject({ code: '55000' });
  await db.query('select app.rename()');
  await db.query(`insert into app.users (id) values ('${user.replaceAll('1', '9')}')`);
  await client.query(`begin; delete from app.users where id = '${user}'`);
  expect((await client.query('select from app.moves_before_pg_credits')).rowCount).toBe(0);
  await client.query('rollback');
  await rollback(client, mapping, parties, log);
  await db.query('select app.spend(5), app.note(-5)');
  expect(await db.query(`select credits from app.users where id = '${user}'`)).toEqual([
    { credits: 65 },
  ]);
  expect(await db.query(`select from pg_proc where proname like '%before_pg_credits'`)).toEqual([]);
});

test('a rollback names what a constraint of the app refuses, and how to go on', async () => {
  const other = user.replaceAll('1', '9');
  await db.query(
    `${tables};
    insert into app.users values ('${other}');
    insert into app.moves (user_id, amount) values ('${other}', 0);
    alter table app.users add constraint "In credit" check (credits >= 0);
    alter table app.moves add column ref text;
    create unique index once on app.moves (ref)`,
  );
  const mapping = mappingWith({ reference: 'ref' });
  const { client, parties } = await prepare(mapping);
  await cutover(client, mapping, parties, { oneWay: false, log });
  for (const account of [user, other]) {
    await db.query(`select credits.set_overdraft_limit('${account}', 100)`);
    await db.query(`select from credits.deduct_credits('${account}', 75, 'request 1')`);
  }
  const run = () => rollback(client, mapping, parties, log);
  await expect(run()).rejects.toThrow(
    `nothing was changed: app.moves does not take what the ledger has:
duplicate key value violates unique constraint "once"
Key (ref)=(request 1) already exists.
drop the constraint or index "once" of app.moves_before_pg_credits, run this again, and mend the rows then`,
  );
  await db.query('drop index app.once');
  await expect(run()).rejects.toThrow(
    /^nothing was changed: app\.users does not take .*\nFailing row contains .*\ndrop the constraint or index "In credit" of app\.users_before_pg_credits, /s,
  );
  await db.query('alter table app.users_before_pg_credits drop constraint "In credit"');
  expect(await run()).toMatchObject({ transactions: 2, figures: 2 });
});

test('earlier entries of another account in the ledger do not stop a rollback', async () => {
  const other = user.replaceAll('1', '9');
  await db.query(tables);
  const mapping = mappingWith();
  const { client, parties } = await prepare(mapping);
  await db.query(`select from credits.grant_credits('${other}', 10, 'before')`);
  await cutover(client, mapping, parties, { oneWay: false, log });
  await db.query(`insert into app.users (id) values ('${other}')`);
  await db.query(`select from credits.grant_credits('${other}', 5, 'after')`);
  expect(await rollback(client, mapping, parties, log)).toMatchObject({ transactions: 1 });
  expect(await compare(client, mapping, parties)).toMatchObject({
    agree: 1n,
    missing: [other],
  });
});
