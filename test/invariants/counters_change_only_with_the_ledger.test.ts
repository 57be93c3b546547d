import { beforeAll, describe, expect, test } from 'vitest';
import { holdAt, limitAt } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { asOwner } from '../support/ledger.ts';
import { us } from '../support/time.ts';

const db = useDatabase();
beforeAll(async () => {
  await writeSample(db, 'sample');
  const at = us('2024-03-02T00:00:00Z');
  await holdAt(db, 'sample', at, { key: 'hold', amount: 10, expiresIn: '9 years' });
  await limitAt(db, 'sample', at, { id: 'all', ceiling: 1000 });
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
const set = (table: string, change: string): [string, string, string] => [
  table,
  'update',
  `update credits_private.${table} set ${change}`,
];
describe.each([
  set('accounts', 'balance = balance + 1'),
  set('accounts', 'debt = debt + 1'),
  set('accounts', 'held = held - 1'),
  set('accounts', 'overdraft_held = 1'),
  set('accounts', 'last_entry_id = 0'),
  set('accounts', 'last_entry_id = 99'),
  set('accounts', 'last_part_id = 0'),
  set('accounts', 'last_part_id = 99'),
  set('accounts', 'has_limits = not has_limits'),
  set('accounts', 'has_keys = not has_keys'),
  set('accounts', 'last_grant_id = 0'),
  set('accounts', 'last_grant_id = last_grant_id + 1'),
  set('accounts', 'last_hold_id = 0'),
  set('accounts', 'last_hold_id = last_hold_id + 1'),
  set('accounts', 'closed_at = clock_timestamp()'),
  set('grants', 'remaining = remaining - 1'),
  set('grants', 'amount = amount + 1'),
  set('grants', 'held = held - 1'),
  set('grants', 'taken = 1'),
  set('grants', 'revoked = revoked + 1'),
  set('grants', `operations = '{other}'`),
  set('grants', 'expires_at = clock_timestamp()'),
  set('grants', 'priority = 1'),
  set('grants', `source = 'other'`),
  set('grants', 'origin_grant_id = 1'),
  set('grants', 'revoked = 5, taken = 5'),
  set('grants', 'last_entry_id = 0'),
  set('grants', 'last_part_id = 0'),
  set('holds', 'held = held - 1'),
  set('holds', 'amount = 1000'),
  set('holds', 'last_part_id = 0'),
  set('limit_counters', 'spent = 0'),
  set('limit_counters', "window_start = window_start + interval '1 day'"),
  set('limit_counters', 'last_entry_id = 0'),
  set('usage_counters', 'credits_used = 24'),
  set('usage_counters', 'credits_refunded = 1'),
  set('usage_counters', 'calls = calls + 1'),
  set('usage_counters', 'last_entry_id = 0'),
  set('usage_counters', `operation = 'other'`),
  set('usage_counters', `account_id = 'other'`),
  ['limit_counters', 'delete', 'delete from credits_private.limit_counters'],
  ['limit_counters', 'truncate', 'truncate credits_private.limit_counters'],
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
    'holds',
    'insert',
    `insert into credits_private.holds
     select (jsonb_populate_record(h, '{"hold_id": 9}')).*
     from credits_private.holds as h where h.account_id = 'sample'`,
  ],
  [
    'limit_counters',
    'insert',
    `insert into credits_private.limit_counters
       (account_id, limit_id, window_start, scope_id, spent)
     values ('sample', 'all', '2024-04-01', '', 1)`,
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

test.each([
  ['usage_counters', 'api_key_id', `'other'`, `<> ''`],
  ['usage_counters', 'api_key_id', `''`, `<> ''`],
  ['usage_counters', 'api_key_id', `'forgotten api key 1'`, `= ''`],
  ['limit_counters', 'scope_id', `'other'`, `= ''`],
  ['limit_counters', 'scope_id', `'forgotten run 1'`, `= ''`],
])('in %s, %s does not become %s where it %s', async (table, column, value, where) => {
  const update = `update credits_private.${table} set ${column} = ${value}
    where account_id = 'sample' and ${column} ${where}`;
  const { detail, ...error } = refused(table, 'update');
  const expected = { ...error, detail: { ...detail, column } };
  expect(await raised(asOwner(db, update))).toMatchObject(expected);
  expect(await raised(db.query(update))).toMatchObject(expected);
  expect(await discrepancies(db)).toEqual([]);
});

test('settings of an account and columns that are no figure can be changed', async () => {
  await asOwner(db, `update credits_private.account_metadata set metadata = '{"a": 1}'`);
  await asOwner(db, `update credits_private.grants set metadata = '{"a": 1}'`);
  await db.query(`select credits.open_account('sample', p_anchor_day => 5)`);
  expect(await discrepancies(db)).toEqual([]);
});

test('after any history, each figure names the last entry that it includes', async () => {
  await Promise.all([71, 72, 73].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const { stale } = await db.one(
    `select count(*) as stale from credits_private.remainders as g
     where g.last_entry_id <> (select coalesce(max(e.entry_id), 0) from credits.entries as e
       where e.account_id = g.account_id and g.grant_id in (e.grant_id, e.revoked_grant_id))`,
  );
  expect(stale).toBe(0);
  const holds = await db.one(
    `select count(*), count(*) filter (where h.last_part_id is distinct from (
       select max(p.part_id) from credits_private.hold_parts as p
       where p.account_id = h.account_id and p.hold_id = h.hold_id)) as stale
     from credits_private.holds as h where h.account_id like 'history %'`,
  );
  expect(holds.count).toBeGreaterThan(5);
  expect(holds.stale).toBe(0);
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

test.each([
  ['has_limits', 'true', 'false', 'true'],
  ['has_keys', 'true', 'false', 'true'],
  ['last_grant_id', '0', '2', '0'],
  ['last_hold_id', '3', '0', '3'],
])(
  'an account whose %s was set to %s behind the guards is found',
  async (flag, value, is, found) => {
    const change = `update credits_private.accounts set ${flag} = ${value} where account_id = 'broken'`;
    expect(await findingsOf('accounts', change)).toEqual([
      ['counters_change_only_with_the_ledger', flag, is, found],
    ]);
  },
);
