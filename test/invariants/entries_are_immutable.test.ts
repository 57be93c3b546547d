import { beforeAll, expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeSample } from '../support/history.ts';
import { asOwner } from '../support/ledger.ts';

const db = useDatabase();
beforeAll(async () => {
  await writeSample(db, 'sample');
  await db.query(`select credits.grant_credits('person', 100, 'grant')`);
  await db.query(
    `select credits.deduct_credits('person', 5, 'deduct', 'key', 'search', 'run', '{"a": 1}')`,
  );
  await db.query(
    `create table public.things (id int primary key);
     create function public.on_thing() returns trigger language plpgsql as $$
     begin
       execute tg_argv[0];
       return null;
     end $$`,
  );
});

const ledger = (account = 'sample') =>
  db.query('select * from credits_private.entries where account_id = $1 order by entry_id', [
    account,
  ]);
const refused = (change: string) => ({
  code: '23514',
  constraint: 'entries_are_immutable',
  detail: { table: 'entries', change, invariant: 'entries_are_immutable' },
});

// What forget_account replaces.
const personal = ['api_key_id', 'run_id', 'metadata'];

test('no column but three can be updated, not by the owner, not by a superuser', async () => {
  const before = await ledger();
  const columns = await db.query(
    `select attname as name from pg_attribute
     where attrelid = 'credits_private.entries'::regclass and attnum > 0 and not attisdropped
       and attname <> all ($1)`,
    [personal],
  );
  expect(columns.length).toBeGreaterThan(18);
  for (const { name } of columns) {
    const update = `update credits_private.entries set ${name} = ${name} where entry_id = 3`;
    expect(await raised(asOwner(db, update))).toMatchObject(refused('update'));
    expect(await raised(db.query(update))).toMatchObject(refused('update'));
  }
  expect(await ledger()).toEqual(before);
});

const named = `account_id = 'person' and entry_id = 2`;
const unnamed = `account_id = 'person' and entry_id = 1`;
test.each([
  ['another id', 'api_key_id', `api_key_id = 'other'`, named],
  ['another run', 'run_id', `run_id = 'other'`, named],
  ['no id', 'api_key_id', 'api_key_id = null', named],
  ['no run', 'run_id', 'run_id = null', named],
  ['something like a pseudonym', 'run_id', `run_id = 'was forgotten run 1'`, named],
  ['a pseudonym of no id', 'api_key_id', `api_key_id = 'forgotten api key 1'`, unnamed],
  ['a pseudonym of no run', 'run_id', `run_id = 'forgotten run 1'`, unnamed],
  ['another document', 'metadata', `metadata = '{"b": 2}'`, named],
  ['a document that it had not', 'metadata', `metadata = '{"b": 2}'`, unnamed],
  ['one of three', 'metadata', `run_id = 'forgotten run 1', metadata = '[]'`, named],
])('an entry does not get %s, by the owner or a superuser', async (_, column, change, where) => {
  const update = `update credits_private.entries set ${change} where ${where}`;
  const { detail, ...error } = refused('update');
  const expected = { ...error, detail: { ...detail, column } };
  const before = await ledger('person');
  expect(await raised(asOwner(db, update))).toMatchObject(expected);
  expect(await raised(db.query(update))).toMatchObject(expected);
  expect(await ledger('person')).toEqual(before);
});

test('forget_account makes an entry forget whom it was for, and keeps the rest', async () => {
  const before = await ledger('person');
  const pseudonyms = { api_key_id: 'forgotten api key 1', run_id: 'forgotten run 1' };
  await db.query(`select credits.forget_account('person')`);
  expect(await ledger('person')).toEqual([
    before[0],
    { ...before[1], ...pseudonyms, metadata: null },
  ]);
});

test.each([
  ['delete', 'delete from credits_private.entries'],
  ['delete', 'delete from credits_private.entries where entry_id = 8'],
  ['truncate', 'truncate credits_private.entries'],
  ['truncate', 'truncate credits_private.entries cascade'],
])('to %s entries is refused, to the owner and to a superuser: %s', async (change, statement) => {
  expect(await raised(asOwner(db, statement))).toMatchObject(refused(change));
  expect(await raised(db.query(statement))).toMatchObject(refused(change));
  expect(await ledger()).toHaveLength(8);
});

test.each([
  ['update', 'update credits_private.entries set amount = 1'],
  ['delete', 'delete from credits_private.entries'],
  ['truncate', 'truncate credits_private.entries'],
])('to %s entries is refused within a trigger of the app, too', async (change, statement) => {
  await db.query(
    `create or replace trigger on_thing after insert on public.things for each row
     execute function public.on_thing(${`'${statement}'`})`,
  );
  const error = await raised(db.query('insert into public.things values (1)'));
  expect(error).toMatchObject(refused(change));
  expect(await ledger()).toHaveLength(8);
});

test('our functions can be called within a trigger of the app', async () => {
  await db.query(
    `create or replace trigger on_thing after insert on public.things for each row
     execute function public.on_thing('select credits.deduct_credits(''sample'', 5, ''thing'')')`,
  );
  await db.query('insert into public.things values (2)');
  const last = (await ledger()).at(-1);
  expect(last).toMatchObject({ entry_id: 9, amount: -5, balance_after: 90 });
  expect(await discrepancies(db)).toEqual([]);
});

test('an entry whose balance was changed by hand is found', async () => {
  const change = `update credits_private.entries set balance_after = 101
    where account_id = 'broken' and entry_id = 7`;
  expect(await findingsOf('entries', change)).toEqual([
    ['entries_are_immutable', 'entry 7', '100', '101'],
    ['entries_are_immutable', 'entry 8', '96', '95'],
  ]);
});

test('an entry whose API key was changed by hand is found', async () => {
  const change = `update credits_private.entries set api_key_id = 'forgotten api key 1'
    where account_id = 'broken' and entry_id in (3, 4)`;
  const of = (id: string) => `period 2024-01-01, api key ${id}, operation search`;
  expect(await findingsOf('entries', change)).toEqual([
    ['usage_equals_ledger', of('forgotten api key 1'), '(60,0,1)', '(,,)'],
    ['usage_equals_ledger', of('key a'), '(0,20,0)', '(60,20,1)'],
    ...[5, 6].map((refund) => [
      'usage_equals_ledger',
      `what entry ${refund} is for`,
      '("forgotten api key 1",search,)',
      '("key a",search,)',
    ]),
  ]);
});
