import { beforeAll, describe, expect, test } from 'vitest';
import { deductAt, holdAt, limitAt } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findings, tamper } from '../support/discrepancies.ts';
import { asOwner } from '../support/ledger.ts';
import { writeLimitHistory } from '../support/limit-history.ts';
import { us } from '../support/time.ts';

const db = useDatabase();
const now = us('2024-03-02T00:00:00Z');

test('after each step of any history, limits have counted what a sum of our own says', async () => {
  const seeds = [1, 2, 3, 4, 5, 6];
  const written = await Promise.all(
    seeds.map((seed) => writeLimitHistory(db, `history ${seed}`, seed)),
  );
  for (const { refusals } of written) expect(refusals).toBeGreaterThan(0);
  expect(await discrepancies(db)).toEqual([]);
});

test('the histories cover every scope and window, holds, refunds and both clock changes', async () => {
  const { kinds, states, limits } = await db.one(
    `select (select array_agg(distinct kind order by kind) from credits.entries) as kinds,
       (select array_agg(distinct state order by state) from credits.holds) as states,
       (select count(distinct (scope, limit_window))::int from credits_private.limits) as limits`,
  );
  expect(kinds).toEqual(['capture', 'deduction', 'grant', 'refund']);
  expect(states).toEqual(expect.arrayContaining(['captured', 'expired', 'released']));
  expect(limits).toBeGreaterThan(8);
  const days = await db.query(
    `select distinct (effective_at at time zone 'Europe/Berlin')::date::text as day
     from credits.entries where kind <> 'grant'`,
  );
  expect(days.map(({ day }) => day)).toEqual(
    expect.arrayContaining(['2024-02-29', '2024-03-31', '2024-04-05', '2024-10-27']),
  );
});

const counter = 'account_id, limit_id, window_start, scope_id';
describe('a counter of a limit moves with the ledger only', () => {
  beforeAll(async () => {
    const grant = `select credits.grant_credits('acme', 100, 'grant')`;
    await db.query(grant);
    await db.query(`select credits.set_limit('acme', 'all', 50, p_window => 'total')`);
    await db.query(`select credits.deduct_credits('acme', 30, 'call')`);
    await db.query(`select credits.hold_credits('acme', 5, 'hold')`);
  });

  test.each([
    ['update', 'update credits_private.limit_counters set spent = 0'],
    ['update', 'update credits_private.limit_counters set spent = spent + 1'],
    ['update', 'update credits_private.limit_counters set last_entry_id = 0'],
    ['update', 'update credits_private.limit_counters set reserved = 0'],
    ['update', 'update credits_private.limit_counters set last_part_id = 0'],
    ['update', `update credits_private.limit_counters set window_start = '2024-01-01'`],
    [
      'insert',
      `insert into credits_private.limit_counters (${counter}, spent)
       values ('acme', 'all', '2024-01-01', '', 5)`,
    ],
    [
      'insert',
      `insert into credits_private.limit_counters (${counter}, spent, last_entry_id)
       values ('acme', 'all', '2024-01-01', '', -5, 2)`,
    ],
    [
      'insert',
      `insert into credits_private.limit_counters (${counter}, reserved)
       values ('acme', 'all', '2024-01-01', '', 5)`,
    ],
    ['update', `update credits_private.limit_counters set scope_id = 'other'`],
    ['truncate', 'truncate credits_private.limit_counters'],
  ])('%s: %s', async (change, statement) => {
    const one = change === 'update' ? `${statement} where account_id = 'acme'` : statement;
    const refused = {
      code: '23514',
      constraint: 'counters_change_only_with_the_ledger',
      detail: { table: 'limit_counters', change },
    };
    expect(await raised(asOwner(db, one))).toMatchObject(refused);
    expect(await raised(db.query(one))).toMatchObject(refused);
    expect(await discrepancies(db, 'acme')).toEqual([]);
  });
});

/** The sample has spent 60 - 20 by `key a` in January, and 5 by nobody in March. */
const broken = (change: string) =>
  findings(async (sample) => {
    for (const account of ['broken', 'healthy']) {
      await limitAt(sample, account, now, { id: 'key', ceiling: 100, scope: 'api_key' });
      await limitAt(sample, account, now, { id: 'ever', ceiling: 100, window: 'total' });
      await deductAt(sample, account, now, { key: 'more', amount: 7, apiKey: 'key a' });
      await holdAt(sample, account, now, { key: 'hold by a', amount: 6, apiKey: 'key a' });
      await holdAt(sample, account, now, { key: 'hold by none', amount: 2 });
    }
    expect(await discrepancies(sample)).toEqual([]);
    await tamper(sample, 'limit_counters', change);
  });
const ofNone = 'limit key, window 2024-03-01, '; // of the calls that name no key
const ofKey = 'limit key, window 2024-03-01, key a';
const ofAll = 'limit key, window -infinity, ';
const ofEver = 'limit ever, window -infinity, ';

test.each([
  ['spent = 0', `limit_id = 'ever'`, ofEver, '(52,9)', '(0,9)'],
  ['spent = 8', `limit_id = 'key' and scope_id <> '' and spent > 0`, ofKey, '(7,9)', '(8,9)'],
  [
    'last_entry_id = 8',
    `limit_id = 'key' and scope_id <> '' and spent > 0`,
    ofKey,
    '(7,9)',
    '(7,8)',
  ],
])("a limit's counter that was changed by hand to %s is found", async (change, which, ...found) => {
  const statement = `update credits_private.limit_counters set ${change}
    where account_id = 'broken' and ${which}`;
  expect(await broken(statement)).toEqual([['limits_equal_ledger', ...found]]);
});

test.each([
  ['reserved = 0', `limit_id = 'ever'`, `${ofEver}, reserved`, '8, part 2 to 2', '0, part 2'],
  [
    'last_part_id = 5',
    `limit_id = 'key' and reserved = 6`,
    `${ofAll}key a, reserved`,
    '6, part 1 to 1',
    '6, part 5',
  ],
])(
  'what a limit has reserved that was changed by hand to %s is found',
  async (change, which, ...found) => {
    const statement = `update credits_private.limit_counters set ${change}
    where account_id = 'broken' and ${which}`;
    expect(await broken(statement)).toEqual([['limits_equal_ledger', ...found]]);
  },
);

test("a limit's counter that is missing, or that no call has made, is found", async () => {
  const statement = `delete from credits_private.limit_counters
      where account_id = 'broken' and limit_id = 'key';
    insert into credits_private.limit_counters (${counter}, spent)
      values ('broken', 'key', '2024-03-01', 'key b', 3)`;
  expect(await broken(statement)).toEqual([
    ['limits_equal_ledger', `${ofAll}, reserved`, '2, part 2 to 2', '0, part 0'],
    ['limits_equal_ledger', `${ofAll}key a, reserved`, '6, part 1 to 1', '0, part 0'],
    ['limits_equal_ledger', ofNone, '(5,8)', '(,)'],
    ['limits_equal_ledger', ofKey, '(7,9)', '(,)'],
    ['limits_equal_ledger', 'limit key, window 2024-03-01, key b', '(,)', '(3,0)'],
  ]);
});

test("what was spent while an account's limits were ignored is found", async () => {
  const found = await findings(async (sample) => {
    await limitAt(sample, 'broken', now, { id: 'ever', ceiling: 100, window: 'total' });
    const update = `update credits_private.accounts set has_limits = false where account_id = 'broken'`;
    await tamper(sample, 'accounts', update);
    await deductAt(sample, 'broken', now, { key: 'more', amount: 7 });
  });
  expect(found).toEqual([
    ['counters_change_only_with_the_ledger', 'has_limits', 'true', 'false'],
    ['limits_equal_ledger', ofEver, '(52,9)', '(45,8)'],
  ]);
});
