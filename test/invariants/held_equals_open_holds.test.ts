import { beforeAll, describe, expect, test } from 'vitest';
import { captureAt, grantAt, holdAt, overdraftAt, releaseAt } from '../support/calls.ts';
import { type Database, raised, useDatabase } from '../support/database.ts';
import { discrepancies, type Finding, findings, tamper } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { asOwner } from '../support/ledger.ts';
import { us } from '../support/time.ts';

const db = useDatabase();
const march = us('2024-03-02T00:00:00Z');

/**
 * After the sample's history, which leaves 95 in grant 1: hold 1 has that and 5 of the overdraft, of
 * which 10 are captured; hold 2 had 3 of the overdraft and is released. Parts 1 to 5. Grant 3 is free.
 */
async function writeHolds(on: Database, account: string): Promise<void> {
  await overdraftAt(on, account, march, 20);
  const hold = { key: 'hold', amount: 100, expiresIn: '9 years', apiKey: 'key a', run: 'run' };
  await holdAt(on, account, march, hold);
  await captureAt(on, account, march, { key: 'part', hold: 1, amount: 10, final: false });
  await holdAt(on, account, march, { key: 'short', amount: 3 });
  await releaseAt(on, account, march, { key: 'release', hold: 2 });
  await grantAt(on, account, march, { key: 'free', amount: 10 });
}

beforeAll(async () => {
  await writeSample(db, 'sample');
  await writeHolds(db, 'sample');
});

test('at any point of a history, what is held is what open holds have left, on every surface', async () => {
  const seen = { accounts: 0, states: new Set<string>() };
  const look = async (account: string) => {
    const [row] = await db.query(
      `select a.held, a.overdraft_held, (
           select coalesce(sum(g.held), 0)::bigint from credits_private.grants as g
           where g.account_id = a.account_id
         ) as of_grants, (
           select coalesce(sum(h.held), 0)::bigint from credits_private.holds as h
           where h.account_id = a.account_id and h.state = 'open'
         ) as of_holds, (
           select coalesce(sum(p.amount), 0)::bigint from credits_private.hold_parts as p
           where p.account_id = a.account_id
         ) as of_parts
       from credits_private.accounts as a where a.account_id = $1`,
      [account],
    );
    if (!row) return;
    if (row.held > 0) seen.accounts += 1;
    expect(row.of_holds).toBe(row.held);
    expect(row.of_parts).toBe(row.held);
    expect(row.of_grants).toBe(row.held - row.overdraft_held);
  };
  for (const seed of [1, 2, 3]) {
    const account = `history ${seed}`;
    await writeHistory(db, account, seed, { settle: () => look(account) });
  }
  const states = await db.query('select distinct state from credits_private.holds');
  for (const { state } of states) seen.states.add(state);
  expect([...seen.states].sort()).toEqual(['captured', 'expired', 'open', 'released']);
  expect(seen.accounts).toBeGreaterThan(20);
  expect(await discrepancies(db)).toEqual([]);
});

test('the views show what is held now: of the account, of its holds, of its grants', async () => {
  expect(
    await db.one(
      `select r.held, (select sum(h.held)::int from credits.holds as h
           where h.account_id = r.account_id) as of_holds,
         (select sum(g.held)::int from credits.grants as g
           where g.account_id = r.account_id) as of_grants
       from credits.remaining as r where r.account_id = 'sample'`,
    ),
  ).toEqual({ held: 90, of_holds: 90, of_grants: 85 });
});

describe('by hand the owner and a superuser are refused', () => {
  const promise = 'held_equals_open_holds';
  const own = `where account_id = 'sample' and hold_id = 1`;
  test.each([
    [
      'to end a hold that holds',
      `update credits_private.holds set state = 'released' ${own}`,
      promise,
    ],
    ['to delete a hold', `delete from credits_private.holds ${own}`, promise],
    ['to truncate holds', 'truncate credits_private.holds cascade', promise],
    [
      'to give a hold to another run',
      `update credits_private.holds set run_id = 'x' ${own}`,
      promise,
    ],
    [
      'to give it another API key',
      `update credits_private.holds set api_key_id = 'x' ${own}`,
      promise,
    ],
    ['to change a part', `update credits_private.hold_parts set amount = 1 ${own}`, promise],
    ['to delete a part', `delete from credits_private.hold_parts ${own}`, promise],
    ['to truncate parts', 'truncate credits_private.hold_parts', promise],
    [
      'to write what a hold has',
      `update credits_private.holds set held = 5 ${own}`,
      'counters_change_only_with_the_ledger',
    ],
  ])('%s', async (_, statement, constraint) => {
    const refused = { code: '23514', constraint };
    expect(await raised(asOwner(db, statement))).toMatchObject(refused);
    expect(await raised(db.query(statement))).toMatchObject(refused);
    expect(await discrepancies(db, 'sample')).toEqual([]);
  });

  /** The next part of the sample's holds, sound but for the changes. */
  const insertPart = (changes: Record<string, unknown>) =>
    asOwner(
      db,
      `insert into credits_private.hold_parts
       select (jsonb_populate_record(p, jsonb_build_object('part_id', a.last_part_id + 1,
         'amount', -1, 'created_at', clock_timestamp()) || $1)).*
       from credits_private.hold_parts as p join credits_private.accounts as a using (account_id)
       where p.account_id = 'sample' and p.part_id = 1`,
      [changes],
    );
  test.each([
    ['more than the grant has', { amount: 1 }, 'a_grant_is_never_overdrawn'],
    ['less than nothing', { amount: -86 }, 'a_grant_is_never_overdrawn'],
    ['of another grant than it had', { grant_id: 2 }, 'a_grant_is_never_overdrawn'],
    ['of nothing', { amount: 0 }, 'every_change_has_an_entry'],
    ['with a gap before it', { part_id: 99 }, 'every_change_has_an_entry'],
    ['before the last one', { created_at: '2024-03-01Z' }, 'every_change_has_an_entry'],
    ['that has yet to take effect', { effective_at: '2999-01-01Z' }, 'every_change_has_an_entry'],
    ['of a hold that has ended', { hold_id: 2, amount: 1 }, 'a_hold_is_resolved_once'],
    [
      'of a grant that has expired',
      { grant_id: 2, amount: 1, effective_at: '2024-02-15Z' },
      'expired_credit_is_never_spent',
    ],
  ])('to reserve %s', async (_, changes, constraint) => {
    expect(await raised(insertPart(changes))).toMatchObject({ code: '23514', constraint });
    expect(await discrepancies(db, 'sample')).toEqual([]);
  });
});

/** What is found after a statement on a table, without its guards, in the presence of holds. */
const foundAfter = (table: string, change: string): Promise<Finding[]> =>
  findings(async (broken) => {
    await writeHolds(broken, 'broken');
    expect(await discrepancies(broken)).toEqual([]);
    await tamper(broken, table, `${change} and account_id = 'broken'`);
  });
const held = (subject: string, expected: string, actual: string): Finding => [
  'held_equals_open_holds',
  subject,
  expected,
  actual,
];

test.each<[string, string, string, Finding[]]>([
  [
    'account’s',
    'accounts',
    'update credits_private.accounts set held = held - 1 where true',
    [held('held', '(90,5,5)', '(89,5,5)')],
  ],
  [
    'account’s of the overdraft',
    'accounts',
    'update credits_private.accounts set overdraft_held = 4 where true',
    [held('held', '(90,5,5)', '(90,4,5)')],
  ],
  [
    'hold’s',
    'holds',
    'update credits_private.holds set held = held + 1 where hold_id = 1',
    [held('hold 1', '90', '91')],
  ],
  [
    'grant’s',
    'grants',
    'update credits_private.grants set held = held - 1 where grant_id = 1',
    [held('grant 1', '85', '84')],
  ],
])('a figure that was changed by hand is found: the %s', async (_, table, change, expected) => {
  expect(await foundAfter(table, change)).toEqual(expected);
});

test('a part that was changed or deleted by hand is found, in all that it was part of', async () => {
  const change = 'update credits_private.hold_parts set amount = 94 where part_id = 1';
  expect(await foundAfter('hold_parts', change)).toEqual([
    held('grant 1', '84', '85'),
    held('held', '(89,5,5)', '(90,5,5)'),
    held('hold 1', '89', '90'),
    expect.arrayContaining(['what hold 1 reserved']),
  ]);
  const deletion = 'delete from credits_private.hold_parts where part_id = 2';
  expect(await foundAfter('hold_parts', deletion)).toEqual([
    held('held', '(85,0,4)', '(90,5,5)'),
    held('hold 1', '85', '90'),
    held('part 3 of hold 1', '2', '3'),
    expect.arrayContaining(['what hold 1 reserved']),
  ]);
});
