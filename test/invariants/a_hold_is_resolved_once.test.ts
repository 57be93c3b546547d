import { beforeAll, describe, expect, test } from 'vitest';
import { captureAt, extendAt, holdAt, releaseAt, settleAt } from '../support/calls.ts';
import { type Database, raised, useDatabase } from '../support/database.ts';
import { discrepancies, type Finding, findings, tamper } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { asOwner, insertEntry } from '../support/ledger.ts';
import { HOUR, us } from '../support/time.ts';

const db = useDatabase();
const march = us('2024-03-02T00:00:00Z');
const after = march + 2 * HOUR;

/**
 * After the sample's history: hold 1 captured in parts, 2 released, 3 expired, 4 open for years.
 */
async function writeHolds(on: Database, account: string): Promise<void> {
  for (const key of ['1', '2', '3']) await holdAt(on, account, march, { key, amount: 9 });
  await holdAt(on, account, march, { key: '4', amount: 9, expiresIn: '9 years' });
  await captureAt(on, account, march, { key: 'part', hold: 1, amount: 3, final: false });
  await captureAt(on, account, march + 1, { key: 'final', hold: 1, amount: 4 });
  await captureAt(on, account, march + 1, { key: 'open', hold: 4, amount: 2, final: false });
  await releaseAt(on, account, march + 2, { key: 'release', hold: 2 });
  await settleAt(on, account, after);
}

beforeAll(async () => {
  await writeSample(db, 'sample');
  await writeHolds(db, 'sample');
});

/** Every way to end a hold again, or to extend it. */
const again = (account: string, hold: number, at: number) => [
  captureAt(db, account, at, { key: `capture ${hold}`, hold, amount: 1 }),
  captureAt(db, account, at, { key: `part ${hold}`, hold, amount: 1, final: false }),
  captureAt(db, account, at, { key: `nothing ${hold}`, hold, amount: 0 }),
  releaseAt(db, account, at, { key: `release ${hold}`, hold }),
  extendAt(db, account, at, { hold, expiresIn: '1 day' }),
];

test('after any history, what has ended has ended once, and nothing ends it again', async () => {
  const ends = { captured: 0, released: 0, expired: 0 };
  for (const seed of [1, 4, 5, 6]) {
    const account = `history ${seed}`;
    const now = await writeHistory(db, account, seed);
    const holds = await db.query<{ hold_id: number; state: keyof typeof ends; finals: number }>(
      `select h.hold_id, h.state, (
           select count(distinct e.transaction_id) from credits_private.entries as e
           where e.account_id = h.account_id and e.hold_id = h.hold_id and e.is_final
         ) as finals
       from credits_private.holds as h where h.account_id = $1 and h.state <> 'open'`,
      [account],
    );
    for (const { hold_id, state, finals } of holds) {
      ends[state] += 1;
      expect(finals).toBe(state === 'captured' ? 1 : 0);
      const errors = await Promise.all(again(account, hold_id, now).map(raised));
      for (const error of errors) {
        expect(error).toMatchObject({ code: 'PT410', constraint: 'a_hold_is_resolved_once' });
        expect(error.detail.state).toBe(state);
      }
    }
  }
  for (const count of Object.values(ends)) expect(count).toBeGreaterThan(0);
  expect(await discrepancies(db)).toEqual([]);
});

describe.each([
  [1, 'captured'],
  [2, 'released'],
  [3, 'expired'],
])('changing hold %i, which is %s, by hand is refused to the owner and to a superuser:', (hold) => {
  test.each([
    ['to be opened', `state = 'open', resolved_at = null`],
    ['another end', `state = 'other'`],
    ['another moment of its end', `resolved_at = '2024-03-03Z'`],
    ['to last longer', `expires_at = '2999-01-01Z'`],
  ])('%s', async (_, change) => {
    const statement = `update credits_private.holds set ${change}
      where account_id = 'sample' and hold_id = ${hold}`;
    const refused = {
      code: '23514',
      constraint: 'a_hold_is_resolved_once',
      detail: { table: 'holds', change: 'update', invariant: 'a_hold_is_resolved_once' },
    };
    expect(await raised(asOwner(db, statement))).toMatchObject(refused);
    expect(await raised(db.query(statement))).toMatchObject(refused);
  });
});

test('the function that ends a hold cannot end it twice', async () => {
  for (const [hold, state] of [
    [1, 'released'],
    [2, 'captured'],
    [3, 'released'],
  ]) {
    const twice = asOwner(
      db,
      `select credits_private.resolve_hold(
         row(a.*)::credits_private.account, $1, $2, clock_timestamp(), clock_timestamp())
       from credits_private.accounts as a where a.account_id = 'sample'`,
      [hold, state],
    );
    expect(await raised(twice)).toMatchObject({ constraint: 'a_hold_is_resolved_once' });
  }
  expect(await discrepancies(db)).toEqual([]);
});

/** What is found of this promise after `breakIt`, in the presence of the holds. */
const found = async (breakIt: (broken: Database) => Promise<unknown>): Promise<Finding[]> => {
  const all = await findings(async (broken) => {
    await writeHolds(broken, 'broken');
    await settleAt(broken, 'healthy', after);
    expect(await discrepancies(broken)).toEqual([]);
    await breakIt(broken);
  });
  return all.filter(
    ([invariant, subject]) =>
      invariant === 'a_hold_is_resolved_once' && subject?.startsWith('hold '),
  );
};
const finding = (hold: number, isCaptured: boolean, actual: string): Finding => [
  'a_hold_is_resolved_once',
  `hold ${hold}`,
  isCaptured ? '1 final capture, the last' : 'no final capture, none after the end',
  actual,
];

test.each<[string, string, Finding[]]>([
  [
    'a captured hold that was opened',
    `state = 'open', resolved_at = null where hold_id = 1`,
    [finding(1, false, '1, 0 after the end')],
  ],
  [
    'a captured hold that says that it was released',
    `state = 'released' where hold_id = 1`,
    [finding(1, false, '1, 0 after the end')],
  ],
  [
    'a released hold that says that it was captured',
    `state = 'captured' where hold_id = 2`,
    [finding(2, true, '0, 0 after the end')],
  ],
  [
    'an expired hold without a moment',
    `resolved_at = null where hold_id = 3`,
    [finding(3, false, '0, 0 after the end')],
  ],
  [
    'an open hold that has a moment',
    `resolved_at = '2024-03-02Z' where hold_id = 4`,
    [finding(4, false, '0, 1 after the end')],
  ],
  [
    'a hold that had ended before a capture',
    `resolved_at = '2024-03-01Z' where hold_id = 1`,
    [finding(1, true, '1, 2 after the end')],
  ],
])('%s is found', async (_, change, expected) => {
  const update = `update credits_private.holds set ${change} and account_id = 'broken'`;
  expect(await found((broken) => tamper(broken, 'holds', update))).toEqual(expected);
});

test.each<[string, Record<string, unknown>, Finding[]]>([
  [
    'a second final capture',
    { hold_id: 1, is_final: true },
    [finding(1, true, '2, 1 after the end')],
  ],
  [
    'a capture after the end',
    { hold_id: 1, is_final: false },
    [finding(1, true, '1, 1 after the end')],
  ],
  [
    'a capture of a released hold',
    { hold_id: 2, is_final: false },
    [finding(2, false, '0, 1 after the end')],
  ],
  [
    'a final capture of an expired hold',
    { hold_id: 3, is_final: true },
    [finding(3, false, '1, 1 after the end')],
  ],
  [
    'a final capture that left its hold open',
    { hold_id: 4, is_final: true },
    [finding(4, false, '1, 0 after the end')],
  ],
  [
    'a capture of a hold that there is not',
    { hold_id: 99, is_final: true },
    [['a_hold_is_resolved_once', 'hold 99', 'a hold', 'none']],
  ],
])('a hold with %s, written by hand, is found', async (_, changes, expected) => {
  const capture = { kind: 'capture', is_first: false, ...changes };
  expect(await found((broken) => insertEntry(broken, 'broken', capture))).toEqual(expected);
});
