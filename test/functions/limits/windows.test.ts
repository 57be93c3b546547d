import { beforeAll, describe, expect, test } from 'vitest';
import { callAt, deductAt, type Limit, limitAt, refundAt, unique } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { counters, expectPassed, openAt } from '../../support/limits.ts';
import { DAY, HOUR, us } from '../../support/time.ts';

// Every session of this file has an absurd time zone, which must not matter.
const db = useDatabase();
beforeAll(async () => {
  const client = await db.connect();
  await client.query(`alter database ${db.name} set timezone = '<ABSURD>+37:12'`);
  await client.end();
  expect(await db.one('show timezone')).toEqual({ TimeZone: '<ABSURD>+37:12' });
});

interface Window {
  what: string;
  window: 'hour' | 'day' | 'week' | 'period';
  zone?: string;
  anchor?: number;
  /**
   * The first moments of this window and the next; what names the previous, this and the next
   * window: a day, or for an hour the UTC time at which it begins.
   */
  from: string;
  until: string;
  names: [string, string, string];
}

const berlin = 'Europe/Berlin';
const windows: Window[] = [
  {
    what: 'a day in UTC',
    window: 'day',
    from: '2024-05-10T00:00Z',
    until: '2024-05-11T00:00Z',
    names: ['2024-05-09', '2024-05-10', '2024-05-11'],
  },
  {
    what: 'a leap day',
    window: 'day',
    zone: 'America/Los_Angeles',
    from: '2024-02-29T08:00Z',
    until: '2024-03-01T08:00Z',
    names: ['2024-02-28', '2024-02-29', '2024-03-01'],
  },
  {
    what: 'the day of 23 hours in Berlin',
    window: 'day',
    zone: berlin,
    from: '2024-03-30T23:00Z',
    until: '2024-03-31T22:00Z',
    names: ['2024-03-30', '2024-03-31', '2024-04-01'],
  },
  {
    what: 'the day of 25 hours in Berlin',
    window: 'day',
    zone: berlin,
    from: '2024-10-26T22:00Z',
    until: '2024-10-27T23:00Z',
    names: ['2024-10-26', '2024-10-27', '2024-10-28'],
  },
  {
    what: 'an hour in UTC',
    window: 'hour',
    from: '2024-05-10T13:00Z',
    until: '2024-05-10T14:00Z',
    names: ['2024-05-10 12:00:00', '2024-05-10 13:00:00', '2024-05-10 14:00:00'],
  },
  {
    what: 'the second of the two hours that are one in Berlin’s clocks',
    window: 'hour',
    zone: berlin,
    from: '2024-10-27T01:00Z',
    until: '2024-10-27T02:00Z',
    names: ['2024-10-27', '2024-10-27 01:00:00', '2024-10-27 02:00:00'],
  },
  {
    what: 'an hour in a zone of half hours',
    window: 'hour',
    zone: 'Asia/Kathmandu',
    from: '2024-05-10T13:15Z',
    until: '2024-05-10T14:15Z',
    names: ['2024-05-10 12:15:00', '2024-05-10 13:15:00', '2024-05-10 14:15:00'],
  },
  {
    what: 'the hour after clocks went back by half an hour',
    window: 'hour',
    zone: 'Australia/Lord_Howe',
    from: '2024-04-06T15:00Z',
    until: '2024-04-06T15:30Z',
    names: ['2024-04-06 14:00:00', '2024-04-06 14:30:00', '2024-04-06 15:30:00'],
  },
  {
    what: 'a week from Monday',
    window: 'week',
    from: '2024-05-06T00:00Z',
    until: '2024-05-13T00:00Z',
    names: ['2024-04-29', '2024-05-06', '2024-05-13'],
  },
  {
    what: 'the week in Berlin whose last day has 23 hours',
    window: 'week',
    zone: berlin,
    from: '2024-03-24T23:00Z',
    until: '2024-03-31T22:00Z',
    names: ['2024-03-18', '2024-03-25', '2024-04-01'],
  },
  {
    what: 'the first week of 2025, which begins in 2024',
    window: 'week',
    zone: 'America/Los_Angeles',
    from: '2024-12-30T08:00Z',
    until: '2025-01-06T08:00Z',
    names: ['2024-12-23', '2024-12-30', '2025-01-06'],
  },
  {
    what: 'the February of a leap year',
    window: 'period',
    from: '2024-02-01T00:00Z',
    until: '2024-03-01T00:00Z',
    names: ['2024-01-01', '2024-02-01', '2024-03-01'],
  },
  {
    what: 'a month in which the clocks change',
    window: 'period',
    zone: berlin,
    from: '2024-02-29T23:00Z',
    until: '2024-03-31T22:00Z',
    names: ['2024-02-01', '2024-03-01', '2024-04-01'],
  },
  {
    what: 'a period from the last day of a leap February to the 31st',
    window: 'period',
    anchor: 31,
    from: '2024-02-29T00:00Z',
    until: '2024-03-31T00:00Z',
    names: ['2024-01-31', '2024-02-29', '2024-03-31'],
  },
  {
    what: 'a period from the 29th that ends with a shorter February',
    window: 'period',
    zone: berlin,
    anchor: 29,
    from: '2023-01-28T23:00Z',
    until: '2023-02-27T23:00Z',
    names: ['2022-12-29', '2023-01-29', '2023-02-28'],
  },
];

test.each(windows)('a limit counts $what as one window, to the microsecond', async (row) => {
  const account = unique('account');
  const [from, until] = [us(row.from), us(row.until)];
  const set: Limit = { id: 'ten', ceiling: 10, window: row.window };
  await openAt(db, account, from - 2 * HOUR, { zone: row.zone ?? 'UTC', anchor: row.anchor ?? 1 });
  await limitAt(db, account, from - 2 * HOUR, set);
  const deduct = (at: number, amount: number) =>
    deductAt(db, account, at, { key: unique(), amount });
  const stopped = (at: number) =>
    expectPassed(deduct(at, 1), account, set, { spent: 10, remaining: 0, requested: 1 });

  await deduct(from - 1, 10);
  await stopped(from - 1);
  await deduct(from, 4);
  await deduct(until - 1, 6);
  await stopped(until - 1);
  await deduct(until, 10);
  await stopped(until);
  expect(await counters(db, account)).toEqual(row.names.map((name) => ['ten', name, '', 10]));
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a limit in total never starts anew', async () => {
  const account = unique('account');
  const start = us('2024-01-01T00:00Z');
  const set: Limit = { id: 'ever', ceiling: 10, window: 'total' };
  await openAt(db, account, start);
  await limitAt(db, account, start, set);
  await deductAt(db, account, start, { key: 'first', amount: 4 });
  await deductAt(db, account, start + 800 * DAY, { key: 'second', amount: 6 });
  await expectPassed(
    deductAt(db, account, start + 1600 * DAY, { key: 'third', amount: 1 }),
    account,
    set,
    { spent: 10, remaining: 0, requested: 1 },
  );
  expect(await counters(db, account)).toEqual([['ever', '-infinity', '', 10]]);
});

describe('another time zone', () => {
  const at = (time: string) => us(`2024-05-10T${time}Z`);
  const zoneAt = (account: string, time: string, zone: string) =>
    callAt(db, 'open_account', at(time), { p_account_id: account, p_time_zone: zone });

  test('has other days, and limits per day are counted anew in them', async () => {
    const account = unique('account');
    await openAt(db, account, at('00:00'));
    const day: Limit = { id: 'day', ceiling: 7, window: 'day' };
    await limitAt(db, account, at('00:00'), day);
    await limitAt(db, account, at('00:00'), { id: 'period', ceiling: 50 });
    await deductAt(db, account, at('14:59:59'), { key: 'yesterday in Tokyo', amount: 4 });
    await deductAt(db, account, at('15:00:00'), { key: 'today in Tokyo', amount: 3 });
    const period = ['period', '2024-05-01', '', 7];
    expect(await counters(db, account)).toEqual([['day', '2024-05-10', '', 7], period]);

    await zoneAt(account, '16:00', 'Asia/Tokyo');
    expect(await counters(db, account)).toEqual([['day', '2024-05-11', '', 3], period]);
    await refundAt(db, account, at('17:00'), { key: 'none', transaction: 2, amount: 1 });
    await refundAt(db, account, at('17:00'), { key: 'one', transaction: 3, amount: 1 });
    const six = deductAt(db, account, at('18:00'), { key: 'six', amount: 6 });
    await expectPassed(six, account, day, { spent: 2, remaining: 5, requested: 6 });
    await deductAt(db, account, at('18:00'), { key: 'five', amount: 5 });
    expect(await counters(db, account)).toEqual([
      ['day', '2024-05-11', '', 7],
      ['period', '2024-05-01', '', 10],
    ]);
    expect(await discrepancies(db, account)).toEqual([]);
  });

  test('has other weeks and hours, which are counted anew, too', async () => {
    const account = unique('account');
    // A Sunday's afternoon in UTC is Monday in Tokyo; India's hours begin within those of UTC.
    const sunday = (time: string) => us(`2024-05-12T${time}Z`);
    const zone = (time: string, p_time_zone: string) =>
      callAt(db, 'open_account', sunday(time), { p_account_id: account, p_time_zone });
    await openAt(db, account, sunday('00:00'));
    await limitAt(db, account, sunday('00:00'), { id: 'hour', ceiling: 9, window: 'hour' });
    await limitAt(db, account, sunday('00:00'), { id: 'week', ceiling: 99, window: 'week' });
    await deductAt(db, account, sunday('14:59'), { key: 'Sunday in Tokyo', amount: 4 });
    await deductAt(db, account, sunday('16:10'), { key: 'before half past', amount: 2 });
    await deductAt(db, account, sunday('16:31'), { key: 'after half past', amount: 3 });
    const hours = (...spent: unknown[][]) => spent.map(([from, sum]) => ['hour', from, '', sum]);
    expect(await counters(db, account)).toEqual([
      ...hours(['2024-05-12 14:00:00', 4], ['2024-05-12 16:00:00', 5]),
      ['week', '2024-05-06', '', 9],
    ]);

    await zone('16:40', 'Asia/Tokyo');
    expect(await counters(db, account)).toEqual([
      ...hours(['2024-05-12 16:00:00', 5]),
      ['week', '2024-05-13', '', 5],
    ]);
    await zone('16:50', 'Asia/Kolkata');
    expect(await counters(db, account)).toEqual([
      ...hours(['2024-05-12 16:30:00', 3]),
      ['week', '2024-05-06', '', 9],
    ]);
    expect(await discrepancies(db, account)).toEqual([]);
  });

  test('may put more into a day than its limit allows, which is no discrepancy', async () => {
    const account = unique('account');
    const day: Limit = { id: 'day', ceiling: 10, window: 'day' };
    const evening = at('22:00') - DAY;
    await openAt(db, account, evening);
    await limitAt(db, account, evening, day);
    await deductAt(db, account, evening, { key: 'evening', amount: 10 });
    await deductAt(db, account, at('02:00'), { key: 'night', amount: 10 });
    await zoneAt(account, '03:00', 'America/Los_Angeles');
    expect(await counters(db, account)).toEqual([['day', '2024-05-09', '', 20]]);
    const more = deductAt(db, account, at('04:00'), { key: 'more', amount: 1 });
    await expectPassed(more, account, day, { spent: 20, remaining: 0, requested: 1 });
    expect(await discrepancies(db, account)).toEqual([]);
  });
});
