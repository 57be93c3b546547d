import { expect, test } from 'vitest';
import { deductAt, grantAt, settleAt } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { insertEntry } from '../support/ledger.ts';
import { DAY, us } from '../support/time.ts';

const db = useDatabase();

test('after any history, no entry is earlier than the one before it', async () => {
  await Promise.all([61, 62, 63].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const { n, back } = await db.one(
    `select count(*) as n, count(*) filter (
       where e.effective_at < p.effective_at or e.created_at < p.created_at
         or e.period < p.period or e.effective_at > e.created_at) as back
     from credits.entries as e
     join credits.entries as p on p.account_id = e.account_id and p.entry_id = e.entry_id - 1`,
  );
  expect(n).toBeGreaterThan(100);
  expect(back).toBe(0);
  expect(await discrepancies(db)).toEqual([]);
});

test('a call on a clock that runs back is booked no earlier than the entry before it', async () => {
  const at = us('2024-05-01T00:00:00Z');
  await grantAt(db, 'clock', at, { key: 'grant', amount: 10 });
  await deductAt(db, 'clock', at - DAY, { key: 'deduction', amount: 1 });
  const times = `select count(distinct effective_at) as effective, count(distinct created_at) as
    created, count(distinct period) as periods from credits.entries where account_id = 'clock'`;
  expect(await db.one(times)).toEqual({ effective: 1, created: 1, periods: 1 });
});

test('a clock that runs back over the end of a settled period leads to no entry before it', async () => {
  const february = us('2024-02-01T00:00:00Z');
  await grantAt(db, 'period', february - DAY, { key: 'grant', amount: 10 });
  await settleAt(db, 'period', february);
  await deductAt(db, 'period', february - 1, { key: 'deduction', amount: 1 });
  const entries = await db.query(
    `select period, effective_at >= '2024-02-01Z' as in_february from credits.entries
     where account_id = 'period' order by entry_id`,
  );
  expect(entries).toEqual([
    { period: '2024-01-01', in_february: false },
    { period: '2024-02-01', in_february: true },
  ]);
});

test.each([
  ['takes effect before the last one', { effective_at: '2024-02-29T23:59:59.999999Z' }],
  [
    'is created before the last one',
    { effective_at: '2024-03-01Z', created_at: '2024-02-29T23:59:59.999999Z' },
  ],
  ['lies in an earlier period', { period: '2024-02-01' }],
  ['takes effect after it is created', { created_at: '2024-03-02Z', effective_at: '2024-03-03Z' }],
])('an entry that %s is refused, to the owner too', async (name, changes) => {
  await writeSample(db, name);
  const error = await raised(insertEntry(db, name, changes));
  expect(error).toMatchObject({
    code: '23514',
    constraint: 'entries_never_run_back_in_time',
    detail: { account_id: name, entry_id: 9, invariant: 'entries_never_run_back_in_time' },
  });
  await insertEntry(db, name, { created_at: '2024-03-01Z', effective_at: '2024-03-01Z' });
});

test('an entry that is created before one that was booked late is refused, too', async () => {
  const [granted, expires] = [us('2024-02-01T00:00:00Z'), us('2024-02-10T00:00:00Z')];
  await grantAt(db, 'late', granted, { key: 'lasting', amount: 5 });
  await grantAt(db, 'late', granted, { key: 'expiring', amount: 5, expires });
  await settleAt(db, 'late', expires + DAY);
  const between = { effective_at: '2024-02-10Z', created_at: '2024-02-10T12:00:00Z' };
  expect(await raised(insertEntry(db, 'late', between))).toMatchObject({
    code: '23514',
    constraint: 'entries_never_run_back_in_time',
  });
  await insertEntry(db, 'late', { ...between, created_at: '2024-02-11Z' });
});

const changed = (entry: number, change: string) =>
  findingsOf(
    'entries',
    `update credits_private.entries set ${change}
     where account_id = 'broken' and entry_id = ${entry}`,
  );

// Entry 8 is the last one, and the account's row still has its time.
const accountSays = (expected: string) => [
  'counters_change_only_with_the_ledger',
  'last_effective_at',
  expected,
  '2024-03-01 00:00:00+00',
];

const notWhenItWasBooked = ['entries_are_immutable', 'entry 8', 'what its kind has', 'deduction'];

test('an entry that takes effect before the one before it is found', async () => {
  expect(await changed(8, `effective_at = '2024-02-14Z'`)).toEqual([
    accountSays('2024-02-14 00:00:00+00'),
    notWhenItWasBooked,
    [
      'entries_never_run_back_in_time',
      'entry 8',
      '2024-02-15 00:00:00+00',
      '2024-02-14 00:00:00+00',
    ],
  ]);
});

test('an entry that was created before the one before it is found', async () => {
  expect(
    await changed(2, `effective_at = '2024-01-10Z', created_at = '2024-01-09Z'`),
  ).toContainEqual([
    'entries_never_run_back_in_time',
    'entry 2',
    '2024-01-10 00:00:00+00',
    '2024-01-09 00:00:00+00',
  ]);
});

test('an entry in an earlier period than the one before it is found', async () => {
  expect(await changed(7, `period = '2023-12-01'`)).toEqual([
    ['entries_never_run_back_in_time', 'entry 7', '2024-01-01', '2023-12-01'],
  ]);
});

test('an entry that takes effect after it was created is found', async () => {
  expect(await changed(8, `effective_at = '2024-03-02Z'`)).toEqual([
    accountSays('2024-03-02 00:00:00+00'),
    notWhenItWasBooked,
    [
      'entries_never_run_back_in_time',
      'entry 8',
      '2024-03-02 00:00:00+00',
      '2024-03-01 00:00:00+00',
    ],
  ]);
});
