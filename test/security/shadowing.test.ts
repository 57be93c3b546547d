import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/ledger.ts';
import { callOf, routinesOf } from './routines.ts';
import { login } from './sessions.ts';
import { shadows, temporaries } from './shadows.ts';
import { furnish, rowsOf, spend } from './spending.ts';

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

async function hostile(role: string, pathFirst = true): Promise<pg.Client> {
  const client = await login(db, role);
  await client.query(temporaries);
  await client.query(
    `set search_path = ${pathFirst ? 'evil, public, pg_catalog' : 'public'}, credits`,
  );
  return client;
}

test('the plain session does what it is meant to', () => {
  const codes = expected.outcomes.map((each) => each.match(/"code":"(.....)"/)?.[1] ?? 'done');
  expect(new Set(codes)).toEqual(
    new Set(['done', 'PT402', 'PT404', 'PT409', 'PT410', 'PT429', '22023']),
  );
  expect(expected.rows.length).toBeGreaterThan(30);
});

test('what is planted runs where nothing keeps it out', async () => {
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

test('shadows of functions, operators, tables and types change nothing', async () => {
  expect(await outcome(await hostile('credits_spender'), 'shadows')).toEqual(expected);
  expect(await outcome(await hostile('credits_spender', false), 'types')).toEqual(expected);
});

test('nor do they in any other function or view', async () => {
  const client = await hostile('credits_spender');
  const [{ user }] = (await client.query('select session_user::pg_catalog.text as user')).rows;
  for (const role of ['granter', 'auditor'])
    await db.query(`grant ${db.rolePrefix}credits_${role} to ${user}`);
  for (const routine of await routinesOf(db, 'credits')) {
    const failed = await client.query(callOf(routine)).then(
      () => ({ code: 'done' }),
      (error) => error,
    );
    expect(failed.code, `${routine.name}: ${failed.message}`).toMatch(/^(done|22023|PT4..)$/);
  }
  const views = await db.query(`select relname as name from pg_class
    where relnamespace = 'credits'::regnamespace and relkind = 'v'`);
  for (const { name } of views) await client.query(`table credits.${name}`);
});

test('types of the caller run what they run as the caller', async () => {
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

// Left out: what ends a session at its first error, or lets nobody write.
const switches = `
  select name, setting = 'on' as "isOn", vartype, enumvals from pg_settings
  where context = 'user' and vartype in ('bool', 'enum')
    and name !~ '^(exit_on_error|default_transaction_read_only|transaction_.*)$'`;

test('no switch that a caller may flip changes anything', async () => {
  const client = await login(db, 'credits_spender');
  const all = (await client.query(switches)).rows;
  expect(all.length).toBeGreaterThan(40);
  for (const { name, isOn, vartype, enumvals } of all)
    await client.query('select set_config($1, $2, false)', [
      name,
      vartype === 'bool' ? String(!isOn) : enumvals[0],
    ]);
  expect(await outcome(client, 'first choices')).toEqual(expected);
  for (const { name, vartype, enumvals } of all)
    if (vartype === 'enum')
      await client.query('select set_config($1, $2, false)', [name, enumvals.at(-1)]);
  expect(await outcome(client, 'last choices')).toEqual(expected);
});

test('no setting of words and numbers does', async () => {
  const client = await login(db, 'credits_spender');
  await client.query(`
    set timezone = '<-23:59>23:59'; set datestyle = 'German, DMY'; set extra_float_digits = -15;
    set client_encoding = 'LATIN1'; set lc_monetary = 'C'; set lc_numeric = 'C'; set lc_time = 'C';
    set work_mem = '64kB'; set lock_timeout = '1min'; set statement_timeout = '1min';
    set from_collapse_limit = 1; set join_collapse_limit = 1; set geqo_threshold = 2;
    set default_text_search_config = 'simple'; set plpgsql.extra_warnings = 'all';
    set plpgsql.extra_errors = 'all'; set plpgsql.variable_conflict = 'use_column';
    set cursor_tuple_fraction = 0; set jit_above_cost = 0;
    set jit_inline_above_cost = 0; set jit_optimize_above_cost = 0; set cpu_tuple_cost = 1000;
    set credits.role = 'owner'; set credits_private.now = '1970-01-01'; set pg_credits.p_at = 'x'`);
  expect(await outcome(client, 'words')).toEqual(expected);
});

test('where a session may not write, a call says so and a question is answered', async () => {
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

test('after all of that, every promise holds', async () => {
  expect(await discrepancies(db)).toEqual([]);
});
