import { beforeAll, expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { asOwner, discrepancies, findingsOf, writeSample } from '../support/ledger.ts';

const db = useDatabase();
beforeAll(async () => {
  await writeSample(db, 'sample');
  await db.query(
    `create table public.things (id int primary key);
     create function public.on_thing() returns trigger language plpgsql as $$
     begin
       execute tg_argv[0];
       return null;
     end $$`,
  );
});

const ledger = () =>
  db.query('select * from credits_private.entries order by account_id, entry_id');
const refused = (change: string) => ({
  code: '23514',
  constraint: 'entries_are_immutable',
  detail: { table: 'entries', change, invariant: 'entries_are_immutable' },
});

test('no column of an entry can be updated, not by the owner, not by a superuser', async () => {
  const before = await ledger();
  const columns = await db.query(
    `select attname as name from pg_attribute
     where attrelid = 'credits_private.entries'::regclass and attnum > 0 and not attisdropped`,
  );
  expect(columns.length).toBeGreaterThan(15);
  for (const { name } of columns) {
    const update = `update credits_private.entries set ${name} = ${name} where entry_id = 3`;
    expect(await raised(asOwner(db, update))).toMatchObject(refused('update'));
    expect(await raised(db.query(update))).toMatchObject(refused('update'));
  }
  expect(await ledger()).toEqual(before);
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
