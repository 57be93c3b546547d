import type pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { asRole, type Database, useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import { callOf, routinesOf } from './routines.ts';
import { attempts, login } from './sessions.ts';

// Each role, and a login that has none and so is PUBLIC alone, against each function, table and view
// that the catalogue has. Whoever adds a function or a view to credits says here whose it is; what is
// added to credits_private is nobody's, unless it says so too.
const db = useDatabase();
// The same without the schema as a first barrier: each object refuses by itself.
const opened = useDatabase();

type Role = 'spender' | 'granter' | 'auditor' | 'none';
const roles: Role[] = ['spender', 'granter', 'auditor', 'none'];

const mayCall: Record<string, Role[]> = {
  'credits.available_for': ['spender', 'granter', 'auditor'],
  'credits.capture_hold': ['spender'],
  'credits.close_account': ['granter'],
  'credits.deduct_credits': ['spender'],
  'credits.deduct_credits_batch': ['spender'],
  'credits.explain_balance': ['auditor'],
  'credits.extend_hold': ['spender'],
  'credits.forget_account': ['granter'],
  'credits.grant_credits': ['granter'],
  'credits.hold_credits': ['spender'],
  'credits.open_account': ['granter'],
  'credits.refund_credits': ['granter'],
  'credits.release_hold': ['spender'],
  'credits.remove_limit': ['granter'],
  'credits.revoke_grant': ['granter'],
  'credits.set_limit': ['granter'],
  'credits.set_overdraft_limit': ['granter'],
  'credits.settle_account': ['granter'],
  'credits.settle_due': ['granter'],
  'credits_private.figures': ['auditor'],
  'credits_private.grants_at': ['auditor'],
  'credits_private.interval_of': ['auditor'],
  'credits_private.is_time_zone': ['auditor'],
  'credits_private.limit_scope_id': ['auditor'],
  'credits_private.limit_window_start': ['auditor'],
  'credits_private.midnight': ['auditor'],
  'credits_private.moment_after': ['auditor'],
  'credits_private.next_anchor': ['auditor'],
  'credits_private.period_shown': ['auditor'],
  'credits_private.periods_of': ['auditor'],
};
const mayRead: Record<string, Role[]> = {
  'credits.accounts': ['auditor'],
  'credits.discrepancies': ['auditor'],
  'credits.entries': ['auditor'],
  'credits.grants': ['auditor'],
  'credits.holds': ['auditor'],
  'credits.invoice': ['auditor'],
  'credits.invoice_lines': ['auditor'],
  'credits.limits': ['auditor'],
  'credits.remaining': ['auditor'],
  'credits.transactions': ['auditor'],
  'credits.usage': ['auditor'],
};

const routines = (target: Database) => routinesOf(target, 'credits', 'credits_private');

interface Relation {
  name: string;
  column: string;
  isView: boolean;
}
const relations = (target: Database): Promise<Relation[]> =>
  target.query(`
    select c.oid::regclass::text as name, quote_ident(a.attname) as column, relkind = 'v' as "isView"
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum = 1
    where relnamespace::regnamespace::text in ('credits', 'credits_private')
      and relkind in ('r', 'p', 'v', 'm', 'f') order by 1`);

const member = (target: Database, role: Role) =>
  login(target, role === 'none' ? undefined : `credits_${role}`);

beforeAll(async () => {
  for (const each of [db, opened]) {
    await each.query(`select credits.grant_credits('acme', 1000, 'grant')`);
    await each.query(`select credits.deduct_credits('acme', 1, 'deduct', p_api_key_id => 'key')`);
    await each.query(`select credits.hold_credits('acme', 1, 'hold')`);
    await each.query(`select credits.set_limit('acme', 'limit', 1000)`);
    await each.query('create schema playground; grant all on schema playground to public');
  }
  await opened.query('grant usage on schema credits, credits_private to public');
});

test('every function and view of credits has a row in the matrix of roles, and every row has one', async () => {
  const isOurs = ({ name }: { name: string }) => name.startsWith('credits.');
  const functions = (await routines(db)).map(({ name }) => name);
  const isPublic = (name: string) => isOurs({ name });
  expect(Object.keys(mayCall).filter(isPublic).sort()).toEqual(functions.filter(isPublic).sort());
  for (const name of Object.keys(mayCall)) expect(functions).toContain(name);
  const views = (await relations(db)).filter(isOurs);
  expect(views.map(({ name }) => name)).toEqual(Object.keys(mayRead));
});

test("the matrix's calls are valid: their owner is refused none", async () => {
  const owner = await asRole(db, 'credits_owner');
  const all = await routines(db);
  expect(all.length).toBeGreaterThan(100);
  for (const [i, code] of (await attempts(owner, all.map(callOf))).entries())
    expect(code, all[i]?.name).not.toMatch(/^42(501|883|725|804|601)$/);
});

/** Of all functions, those that a session may call: it is done, or refused for what was asked. */
async function called(client: pg.Client, target: Database): Promise<string[]> {
  const all = await routines(target);
  const codes = await attempts(client, all.map(callOf));
  for (const [i, code] of codes.entries())
    expect(code, all[i]?.name).toMatch(/^(done|42501|22023|PT4..)$/);
  return all.filter((_, i) => codes[i] !== '42501').map(({ name }) => name);
}
const callableBy = (role: Role) =>
  Object.keys(mayCall).filter((name) => mayCall[name]?.includes(role));

const writes = ({ name, column }: Relation) => [
  `insert into ${name} default values`,
  `insert into ${name} (${column}) select null`,
  `update ${name} set ${column} = null`,
  `delete from ${name}`,
  `truncate ${name}`,
  `merge into ${name} as t using (select 1) as s on false when matched then delete`,
  `lock table ${name} in access exclusive mode`,
  `create table playground.referring (id text references ${name})`,
  `create trigger evil after insert on ${name} execute function suppress_redundant_updates_trigger()`,
];
const reads = ({ name, column }: Relation) => [
  `select from ${name}`,
  `select ${column} from ${name} limit 1`,
  `table ${name}`,
  `explain select ${column} from ${name}`,
];

/** Of all tables and views, those that a session may read; it may write to none. */
async function read(client: pg.Client, target: Database): Promise<string[]> {
  const names: string[] = [];
  for (const relation of await relations(target)) {
    const codes = new Set(await attempts(client, reads(relation)));
    expect(codes.size, `${relation.name}: ${[...codes]}`).toBe(1);
    if (codes.has('done')) names.push(relation.name);
    // That a view is not what can be written to is said before who may.
    const refused = relation.isView ? /^(42501|55000|42809|0A000)$/ : /^42501$/;
    const statements = writes(relation);
    for (const [i, code] of (await attempts(client, statements)).entries())
      expect(code, statements[i]).toMatch(refused);
  }
  return names;
}
const readableBy = (role: Role) =>
  Object.keys(mayRead).filter((name) => mayRead[name]?.includes(role));

describe.each(roles)('%s', (role) => {
  test('can call what the matrix says, and nothing else', async () => {
    const isPublic = (name: string) => name.startsWith('credits.');
    expect(await called(await member(db, role), db)).toEqual(callableBy(role).filter(isPublic));
  });

  test('can read what the matrix says, and write nothing', async () => {
    expect(await read(await member(db, role), db)).toEqual(readableBy(role));
  });

  test('is refused by each function and table itself, not by the schema alone', async () => {
    const client = await member(opened, role);
    expect(await called(client, opened)).toEqual(callableBy(role));
    expect(await read(client, opened)).toEqual(readableBy(role));
  });
});

test('no attempt of the matrix has changed anything', async () => {
  for (const each of [db, opened]) {
    const account = await each.one(
      'select count(*)::int, sum(balance)::int from credits.remaining',
    );
    expect(account).toEqual({ count: 1, sum: 999 });
  }
  expect(await discrepancies(db)).toEqual([]);
});
