import { expect, test } from 'vitest';
import { callAt, grantAt, settleAt } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeHistory } from '../support/history.ts';
import { DAY, HOUR, moment, us } from '../support/time.ts';

const db = useDatabase();
const day = (date: string) => us(`${date}T00:00:00Z`);

/**
 * Zones and anchors: months that end on the 29th, 30th and 31st, clocks that change at 2 and at
 * midnight.
 */
const calendars: [string, number][] = [
  ['UTC', 29],
  ['UTC', 30],
  ['Europe/Berlin', 31],
  ['America/Havana', 10], // midnight of 2024-03-10 does not exist
  ['America/Havana', 3], // midnight of 2024-11-03 comes twice
  ['Asia/Beirut', 31], // midnight of 2024-03-31 does not exist
];

const openAt = (account: string, at: number, [zone, anchor]: [string, number]) =>
  callAt(db, 'open_account', at, {
    p_account_id: account,
    p_time_zone: zone,
    p_anchor_day: anchor,
  });

/** Each thing that comes due is booked at the moment at which it does. */
async function settleOnTime(account: string, until: number): Promise<void> {
  const due = `select due_at::text as at from credits_private.accounts
    where account_id = $1 and due_at <= $2`;
  let last: string | undefined;
  for (;;) {
    const [next] = await db.query(due, [account, moment(until)]);
    if (!next) return;
    if (next.at === last) throw new Error(`settled, and due at ${last} still`);
    last = next.at;
    await callAt(db, 'settle_account', next.at, { p_account_id: account });
  }
}

const settleDue = (at: number) => callAt(db, 'settle_due', at, { p_max_accounts: 100 });

/** All rows of an account, without its id, when they were booked, and how many at once. */
const rows = (table: string, account: string, order: string) =>
  db.query(
    `select to_jsonb(r) - 'account_id' - 'created_at' - 'statement_entries' - 'statement_parts' as row
     from ${table} as r
     where account_id = $1 order by ${order}`,
    [account],
  );

const ledger = (account: string) => rows('credits_private.entries', account, 'entry_id');
const invoices = (account: string) => rows('credits.invoice', account, 'period');

async function books(account: string) {
  return {
    entries: await ledger(account),
    parts: await rows('credits_private.hold_parts', account, 'part_id'),
    holds: await rows('credits_private.holds', account, 'hold_id'),
    grants: await rows('credits_private.remainders', account, 'grant_id'),
    invoices: await invoices(account),
  };
}

async function expectSame(...accounts: [string, ...string[]]): Promise<void> {
  const [first, ...others] = accounts;
  const expected = await books(first);
  expect(expected.entries.some(({ row }) => row.kind === 'expiry')).toBe(true);
  for (const other of others) expect(await books(other)).toEqual(expected);
  expect(await discrepancies(db)).toEqual([]);
}

test.each(calendars)(
  'a year of expiries in %s, anchored to the %i, is booked the same at once as one by one',
  async (...calendar) => {
    const start = day('2024-01-15');
    const end = day('2025-02-10');
    const accounts = ['on time', 'by settle_due', 'late'].map((how) => `${calendar} ${how}`);
    for (const account of accounts) {
      await openAt(account, start, calendar);
      const hours = [1, 700, 701, 1700, 1800, 1844, 1845, 3000, 6950, 6990, 7014, 7015, 9000, 9000];
      for (const [n, hour] of hours.entries()) {
        const expires = start + hour * HOUR + (n % 3) - 1;
        await grantAt(db, account, start, { key: `${n}`, amount: n + 1, expires });
      }
    }
    const [onTime = '', bySettleDue = '', late = ''] = accounts;
    await settleOnTime(onTime, end);
    await settleAt(db, late, end);
    for (let at = start; at < end; at += 17 * DAY) await settleDue(at);
    await settleDue(end);
    await expectSame(onTime, bySettleDue, late);
  },
);

test.each(calendars.map((calendar, n) => [...calendar, n + 100] as const))(
  'any history in %s, anchored to the %i, is the same settled on time and late (seed %i)',
  async (zone, anchor, seed) => {
    const [onTime, bySettleDue, late] = [
      `${seed} on time`,
      `${seed} by settle_due`,
      `${seed} late`,
    ];
    const start = day('2024-01-20');
    await openAt(onTime, start, [zone, anchor]);
    await writeHistory(db, onTime, seed, { settle: (_, to) => settleOnTime(onTime, to) });
    await openAt(bySettleDue, start, [zone, anchor]);
    await writeHistory(db, bySettleDue, seed, {
      settle: (from, to) => settleDue(Math.floor((from + to) / 2)),
    });
    // Opened only now, because settle_due settles all accounts at moments that this one has not
    // reached.
    await openAt(late, start, [zone, anchor]);
    const end = (await writeHistory(db, late, seed)) + 100 * DAY;
    await settleOnTime(onTime, end);
    await settleAt(db, late, end);
    await settleDue(end);
    await expectSame(onTime, bySettleDue, late);
  },
);

test('a zone or anchor that changes in mid-period counts from the next one, settled or not', async () => {
  const changes: [string, [string, number]][] = [
    ['2024-02-05', ['Pacific/Kiritimati', 15]],
    ['2024-04-20', ['Pacific/Pago_Pago', 31]],
    ['2024-04-21', ['America/Havana', 10]],
    ['2024-08-31', ['Europe/Berlin', 30]],
  ];
  const [onTime, late] = ['changed on time', 'changed late'];
  for (const account of [onTime, late]) {
    await openAt(account, day('2024-01-15'), ['UTC', 1]);
    for (let n = 1; n < 90; n += 1) {
      const expires = day('2024-01-15') + n * 97 * HOUR;
      await grantAt(db, account, day('2024-01-15'), { key: `${n}`, amount: n, expires });
    }
    for (const [date, calendar] of changes) {
      if (account === onTime) await settleOnTime(account, day(date));
      await openAt(account, day(date), calendar);
    }
  }
  await settleOnTime(onTime, day('2025-02-01'));
  await settleAt(db, late, day('2025-02-01'));
  await expectSame(onTime, late);
  const periods = (await invoices(late)).map(({ row }) => row.period);
  expect(periods).toEqual([
    '2024-01-01',
    '2024-02-01', // began before the change, and keeps its end
    '2024-03-01',
    '2024-03-15',
    '2024-04-15', // the change to the 31st was itself changed before it counted
    '2024-05-15',
    '2024-06-10',
    '2024-07-10',
    '2024-08-10',
    '2024-09-10',
    '2024-09-30',
    '2024-10-30',
    '2024-11-30',
    '2024-12-30',
  ]);
});

test.each([
  ['UTC', 31, '2024-02-29T00:00:00Z', '2024-01-31', '2024-02-29'],
  ['UTC', 29, '2024-02-29T00:00:00Z', '2024-01-29', '2024-02-29'],
  ['UTC', 30, '2024-03-30T00:00:00Z', '2024-02-29', '2024-03-30'],
  ['Europe/Berlin', 31, '2024-03-30T23:00:00Z', '2024-02-29', '2024-03-31'],
  ['Europe/Berlin', 1, '2024-03-31T22:00:00Z', '2024-03-01', '2024-04-01'],
  ['Europe/Berlin', 27, '2024-10-26T22:00:00Z', '2024-09-27', '2024-10-27'],
  ['Asia/Beirut', 31, '2024-03-30T22:00:00Z', '2024-02-29', '2024-03-31'],
  ['America/Havana', 10, '2024-03-10T05:00:00Z', '2024-02-10', '2024-03-10'],
])('in %s, anchored to the %i, a period ends at %s sharp', async (zone, anchor, end, one, next) => {
  const [onTime, late] = [`${zone} ${anchor} on time`, `${zone} ${anchor} late`];
  for (const account of [onTime, late]) {
    await openAt(account, us(end) - DAY, [zone, anchor]);
    for (const [n, expires] of [us(end) - 1, us(end)].entries()) {
      await grantAt(db, account, us(end) - DAY, { key: `${n}`, amount: 1, expires });
    }
  }
  await settleOnTime(onTime, us(end) + 50 * DAY);
  await settleAt(db, late, us(end) + 50 * DAY);
  await expectSame(onTime, late);
  const expiries = (await ledger(late)).filter(({ row }) => row.kind === 'expiry');
  expect(expiries.map(({ row }) => row.period)).toEqual([one, next]);
});

test('an expiry that was booked for the wrong moment is found', async () => {
  const change = `update credits_private.entries set effective_at = '2024-02-15 00:00:00.000001Z'
    where account_id = 'broken' and entry_id = 7`;
  expect(await findingsOf('entries', change)).toEqual([
    [
      'settling_late_changes_nothing',
      'entry 7',
      '2024-02-15 00:00:00+00',
      '2024-02-15 00:00:00.000001+00',
    ],
  ]);
});
