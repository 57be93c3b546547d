import { beforeAll, describe, expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import {
  asOwner,
  discrepancies,
  findingsOf,
  writeHistory,
  writeSample,
} from '../support/ledger.ts';

const db = useDatabase();
beforeAll(async () => {
  await writeSample(db, 'sample');
  await db.query(
    `create table public.things (statement text);
     create function public.on_thing() returns trigger language plpgsql as $$
     begin
       execute new.statement;
       return null;
     end $$;
     create trigger on_thing after insert on public.things for each row
       execute function public.on_thing()`,
  );
});

const refused = (table: string, change: string) => ({
  code: '23514',
  constraint: 'counters_change_only_with_the_ledger',
  detail: { table, change, invariant: 'counters_change_only_with_the_ledger' },
});

const counter = 'account_id, period, api_key_id, operation';
describe.each([
  ['accounts', 'update', 'update credits_private.accounts set balance = balance + 1'],
  ['accounts', 'update', 'update credits_private.accounts set last_entry_id = 0'],
  ['accounts', 'update', 'update credits_private.accounts set last_entry_id = 99'],
  ['grants', 'update', 'update credits_private.grants set remaining = remaining - 1'],
  ['grants', 'update', 'update credits_private.grants set last_entry_id = 0'],
  ['usage_counters', 'update', 'update credits_private.usage_counters set credits_used = 24'],
  ['usage_counters', 'update', 'update credits_private.usage_counters set credits_refunded = 1'],
  ['usage_counters', 'update', 'update credits_private.usage_counters set calls = calls + 1'],
  ['usage_counters', 'update', `update credits_private.usage_counters set api_key_id = 'other'`],
  ['usage_counters', 'delete', 'delete from credits_private.usage_counters'],
  ['usage_counters', 'truncate', 'truncate credits_private.usage_counters'],
  [
    'accounts',
    'insert',
    `insert into credits_private.accounts
     select (jsonb_populate_record(a, '{"account_id": "rich"}')).*
     from credits_private.accounts as a where a.account_id = 'sample'`,
  ],
  [
    'grants',
    'insert',
    `insert into credits_private.grants
     select (jsonb_populate_record(g, '{"grant_id": 9}')).*
     from credits_private.grants as g where g.grant_id = 1 and g.account_id = 'sample'`,
  ],
  [
    'usage_counters',
    'insert',
    `insert into credits_private.usage_counters (${counter}, calls)
     values ('sample', '2024-01-01', '', '', 1)`,
  ],
])('a change of %s that no entry makes is refused: %s, %s', (table, change, statement) => {
  // One account, so that each of these statements meets no other guard.
  const one = change === 'update' ? `${statement} where account_id = 'sample'` : statement;
  const exact = table === 'grants' && change === 'update' ? `${one} and grant_id = 1` : one;

  test('to the owner and to a superuser', async () => {
    expect(await raised(asOwner(db, exact))).toMatchObject(refused(table, change));
    expect(await raised(db.query(exact))).toMatchObject(refused(table, change));
    expect(await discrepancies(db)).toEqual([]);
  });

  test('within a trigger of the app', async () => {
    const insert = db.query('insert into public.things values ($1)', [exact]);
    expect(await raised(insert)).toMatchObject(refused(table, change));
    expect(await discrepancies(db)).toEqual([]);
  });
});

test('settings of an account and columns that are no figure can be changed', async () => {
  await asOwner(db, `update credits_private.accounts set metadata = '{"a": 1}'`);
  await asOwner(db, `update credits_private.grants set metadata = '{"a": 1}'`);
  await db.query(`select credits.open_account('sample', p_anchor_day => 5)`);
  expect(await discrepancies(db)).toEqual([]);
});

test('after any history, each figure names the last entry that it includes', async () => {
  await Promise.all([71, 72, 73].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const { stale } = await db.one(
    `select count(*) as stale from credits_private.grants as g
     where g.last_entry_id <> (select max(e.entry_id) from credits.entries as e
       where e.account_id = g.account_id and e.grant_id = g.grant_id)`,
  );
  expect(stale).toBe(0);
  expect(await discrepancies(db)).toEqual([]);
});

test('a figure that names another entry than its last one is found', async () => {
  const grant = `update credits_private.grants set last_entry_id = 7
    where account_id = 'broken' and grant_id = 1`;
  expect(await findingsOf('grants', grant)).toEqual([
    ['counters_change_only_with_the_ledger', 'grant 1', '8', '7'],
  ]);
  const search = `update credits_private.usage_counters set last_entry_id = 4
    where account_id = 'broken' and operation = 'search'`;
  const subject = 'period 2024-01-01, api key key a, operation search';
  expect(await findingsOf('usage_counters', search)).toEqual([
    ['counters_change_only_with_the_ledger', subject, '6', '4'],
  ]);
});

test('a balance that was changed together with its entry number is found', async () => {
  const change = `update credits_private.accounts
    set balance = balance + 1, last_entry_id = last_entry_id + 1 where account_id = 'broken'`;
  expect(await findingsOf('accounts', change)).toEqual([
    ['balance_equals_grants_less_debt', 'balance', '95', '96'],
    ['balance_equals_ledger', 'balance', '95', '96'],
    ['entries_are_gapless', 'entries', '1 to 9', '8 entries, 1 to 8'],
  ]);
});
