import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import { callers, callsOf, furnish as furnishAll, outcomeOf, plainly } from './outcomes.ts';
import { login } from './sessions.ts';
import { rounds, unsettle } from './settings.ts';
import { shadows, temporaries } from './shadows.ts';
import { furnish, rowsOf, spend } from './spending.ts';
import { createStateFunction } from './state.ts';

// A caller who does with a session of its own what a role without any right can: every call there has
// the outcome that it has in a plain one, and leaves the same rows; and nothing that the caller made
// runs as the owner.
const db = useDatabase();
let expected: { outcomes: string[]; rows: string[] };

const outcome = async (client: pg.Client, account: string) => {
  await furnish(db, account);
  return { outcomes: await spend(client, account), rows: await rowsOf(db, account) };
};

beforeAll(async () => {
  await db.query(shadows);
  expected = await outcome(await login(db, 'credits_spender'), 'plain');
});

async function surround(client: pg.Client, pathFirst = true): Promise<void> {
  await client.query(temporaries);
  await client.query(
    `set search_path = ${pathFirst ? 'evil, public, pg_catalog' : 'public'}, credits`,
  );
}

async function hostile(role: string, pathFirst?: boolean): Promise<pg.Client> {
  const client = await login(db, role);
  await surround(client, pathFirst);
  return client;
}

test('a session without shadows gets the expected answers', () => {
  const codes = expected.outcomes.map((each) => each.match(/"code":"(.....)"/)?.[1] ?? 'done');
  expect(new Set(codes)).toEqual(
    new Set(['done', 'PT402', 'PT404', 'PT409', 'PT410', 'PT429', '22023']),
  );
  expect(expected.rows.length).toBeGreaterThan(30);
});

test('a planted shadow does run where no search_path keeps it out', async () => {
  const client = await hostile('credits_spender');
  const planted = [
    'select 1::int8 + 1::int8',
    'select clock_timestamp(), octet_length($$a$$::pg_catalog.text)',
    'do $$ declare v pg_temp.bytea; begin v := null; end $$',
    `select deduct_credits('acme', 1, 'key')`,
  ];
  for (const statement of planted)
    expect(await raised(client.query(statement)), statement).toMatchObject({ code: 'EVIL0' });
});

test('shadows of functions, operators, tables and types change nothing of what a spender calls', async () => {
  expect(await outcome(await hostile('credits_spender'), 'shadows')).toEqual(expected);
  expect(await outcome(await hostile('credits_spender', false), 'types')).toEqual(expected);
});

test('shadows of functions, operators, tables and types change nothing of any other function', async () => {
  await createStateFunction(db);
  await furnishAll(db, 'all');
  const [plain, shadowed] = [await callers(db), await callers(db)];
  for (const session of shadowed.all) await surround(session);
  for (const call of await callsOf(db, 'all'))
    for (const first of [undefined, call])
      expect({ [call.name]: await outcomeOf(shadowed.of(call), call, plainly, first) }).toEqual({
        [call.name]: await outcomeOf(plain.of(call), call, plainly, first),
      });
});

test('shadows of functions, operators, tables and types change nothing of any view', async () => {
  const client = await hostile('credits_auditor');
  const views = await db.query(`select relname as name from pg_class
    where relnamespace = 'credits'::regnamespace and relkind = 'v'`);
  expect(views.length).toBeGreaterThan(9);
  for (const { name } of views) await client.query(`table credits.${name}`);
});

test("code in a caller's own type runs as the caller", async () => {
  const client = await login(db, 'credits_spender');
  await furnish(db, 'types of its own');
  await client.query(`
    create table evil.ran (who text);
    grant insert on evil.ran to public;
    create function evil.note() returns boolean language plpgsql as $$ begin
      insert into evil.ran values (current_user);
      return true;
    end $$;
    create domain evil.key as text check (evil.note());
    create domain evil.amount as bigint check (evil.note());
    create type evil.money as (amount bigint);
    create function evil.to_bigint(evil.money) returns bigint language sql
      as 'select ($1).amount where evil.note()';
    create cast (evil.money as bigint) with function evil.to_bigint as implicit`);
  for (const amount of ['1::evil.amount', 'row(1)::evil.money'])
    await client.query(`select credits.deduct_credits('types of its own', ${amount},
      '${amount}'::evil.key)`);
  const ran = await db.query('select distinct who from evil.ran');
  expect(ran).toEqual([{ who: (await client.query('select session_user as me')).rows[0].me }]);
});

test('no caller sets what would switch our triggers off, or the language of our functions', async () => {
  const client = await login(db, 'credits_spender');
  await client.query('do $$ begin end $$'); // loads PL/pgSQL, and with it its settings
  for (const setting of ['session_replication_role = replica', 'plpgsql.variable_conflict = error'])
    expect(await raised(client.query(`set ${setting}`))).toMatchObject({ code: '42501' });
});

test.each(rounds)('no setting that a caller may change changes an answer (%i)', async (round) => {
  const client = await login(db, 'credits_spender');
  await unsettle(client, round, ['restrict_nonsystem_relation_kind']); // it keeps a session from every view
  await client.query(`set credits.role = 'owner'; set credits_private.now = '1970-01-01';
    set pg_credits.p_at = 'x'`);
  expect(await outcome(client, `round ${round}`)).toEqual(expected);
});

test('in a session that may not write, a call says so and a question is answered', async () => {
  const client = await login(db, 'credits_spender');
  await furnish(db, 'read only');
  await client.query('set default_transaction_read_only = on');
  const call = client.query(`select credits.deduct_credits('read only', 1, 'key')`);
  expect(await raised(call)).toMatchObject({ code: '25006' });
  const { rows } = await client.query(
    `select credits.available_for('read only')::int as available`,
  );
  expect(rows).toEqual([{ available: 120 }]);
});

test('after every shadow, every promise holds', async () => {
  expect(await discrepancies(db)).toEqual([]);
});
