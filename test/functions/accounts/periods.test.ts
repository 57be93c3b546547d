import { describe, expect, test } from 'vitest';
import { callAt, unique } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

const db = useDatabase();

/** The periods of grants at these moments, for an account that was open before them. */
async function periodsOf(zone: string, anchorDay: number, moments: string[]): Promise<string[]> {
  const account = { p_account_id: unique('account') };
  const settings = { p_time_zone: zone, p_anchor_day: anchorDay };
  await callAt(db, 'open_account', '1999-06-15 12:00Z', { ...account, ...settings });
  for (const at of moments) {
    const args = { ...account, p_amount: 1, p_idempotency_key: unique() };
    await callAt(db, 'grant_credits', at, args);
  }
  const rows = await db.query(
    'select period from credits.entries where account_id = $1 order by entry_id',
    [account.p_account_id],
  );
  return rows.map((row) => row.period);
}

describe('a period begins at local midnight, and not a microsecond before', () => {
  const boundaries: [zone: string, moment: string, before: string, from: string][] = [
    ['UTC', '2024-02-01 00:00', '2024-01-01', '2024-02-01'],
    ['UTC', '2025-01-01 00:00', '2024-12-01', '2025-01-01'],
    ['Europe/Berlin', '2024-01-31 23:00', '2024-01-01', '2024-02-01'],
    ['Europe/Berlin', '2024-06-30 22:00', '2024-06-01', '2024-07-01'],
    ['America/Los_Angeles', '2024-02-01 08:00', '2024-01-01', '2024-02-01'],
    ['Asia/Kolkata', '2024-01-31 18:30', '2024-01-01', '2024-02-01'],
    ['Asia/Kathmandu', '2024-01-31 18:15', '2024-01-01', '2024-02-01'],
    ['Pacific/Kiritimati', '2024-01-31 10:00', '2024-01-01', '2024-02-01'],
    ['Pacific/Pago_Pago', '2024-02-01 11:00', '2024-01-01', '2024-02-01'],
  ];
  test.each(boundaries)('a period in %s begins at %s UTC', async (zone, moment, before, from) => {
    const { just_before } = await db.one(
      `select to_char($1::timestamp - interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US')
         as just_before`,
      [moment],
    );
    expect(await periodsOf(zone, 1, [`${just_before}Z`, `${moment}Z`])).toEqual([before, from]);
  });
});

describe('the 29th, 30th and 31st are the last day of shorter months', () => {
  const days: [anchor: number, day: string, period: string][] = [
    [31, '2023-01-30', '2022-12-31'],
    [31, '2023-01-31', '2023-01-31'],
    [31, '2023-02-27', '2023-01-31'],
    [31, '2023-02-28', '2023-02-28'],
    [31, '2023-03-30', '2023-02-28'],
    [31, '2023-03-31', '2023-03-31'],
    [31, '2023-04-29', '2023-03-31'],
    [31, '2023-04-30', '2023-04-30'],
    [31, '2024-02-28', '2024-01-31'],
    [31, '2024-02-29', '2024-02-29'],
    [31, '2024-03-01', '2024-02-29'],
    [30, '2023-02-27', '2023-01-30'],
    [30, '2023-02-28', '2023-02-28'],
    [30, '2023-03-29', '2023-02-28'],
    [30, '2023-03-30', '2023-03-30'],
    [30, '2024-02-28', '2024-01-30'],
    [30, '2024-02-29', '2024-02-29'],
    [29, '2023-02-27', '2023-01-29'],
    [29, '2023-02-28', '2023-02-28'],
    [29, '2024-02-28', '2024-01-29'],
    [29, '2024-02-29', '2024-02-29'],
    [29, '2000-02-29', '2000-02-29'], // a leap year, though a century
    [29, '2100-02-28', '2100-02-28'], // none
    [29, '2100-03-01', '2100-02-28'],
    [28, '2024-02-28', '2024-02-28'],
    [1, '2024-02-29', '2024-02-01'],
  ];
  test.each(days)('with anchor day %i, %s', async (anchor, day, period) => {
    expect(await periodsOf('UTC', anchor, [`${day} 00:00Z`, `${day} 23:59:59.999999Z`])).toEqual([
      period,
      period,
    ]);
  });

  test('a year of days in one account falls into the right periods', async () => {
    const year = await db.query(
      `select to_char(d, 'YYYY-MM-DD') as day from generate_series(
         timestamp '2023-02-01', '2024-03-05', '1 day') d`,
    );
    const days = year.map((row) => row.day);
    const periods = await periodsOf(
      'UTC',
      31,
      days.map((day) => `${day}Z`),
    );
    const starts = [...new Set(periods)];
    expect(starts.slice(1, 3)).toEqual(['2023-02-28', '2023-03-31']);
    expect(starts.at(-1)).toBe('2024-02-29');
    expect(starts).toHaveLength(14);
    expect(periods.every((period, i) => period <= (days[i] ?? ''))).toBe(true);
  });
});

test('where clocks skip midnight, a period begins with the first moment of its day', async () => {
  const moments = ['2018-11-04 02:59:59.999999Z', '2018-11-04 03:00Z'];
  expect(await periodsOf('America/Sao_Paulo', 4, moments)).toEqual(['2018-10-04', '2018-11-04']);
});

test('where clocks go back over midnight, a period begins at the first of the two', async () => {
  // Azores: at 01:00 on 25 October 2026 it is 00:00 again; Havana: on 7 November 2027.
  const azores = ['2026-10-24 23:59:59.999999Z', '2026-10-25 00:00Z', '2026-10-25 01:00Z'];
  expect(await periodsOf('Atlantic/Azores', 25, azores)).toEqual([
    '2026-09-25',
    '2026-10-25',
    '2026-10-25',
  ]);
  const havana = ['2027-11-07 03:59Z', '2027-11-07 04:00Z', '2027-11-07 05:30Z'];
  expect(await periodsOf('America/Havana', 7, havana)).toEqual([
    '2027-10-07',
    '2027-11-07',
    '2027-11-07',
  ]);
});

test('after a long silence a grant is in the period of its own moment', async () => {
  expect(await periodsOf('UTC', 31, ['2001-05-01Z', '2024-06-30Z'])).toEqual([
    '2001-04-30',
    '2024-06-30',
  ]);
});

test('what expired in an earlier period is booked in that one, however late', async () => {
  const account = { p_account_id: 'late', p_amount: 5 };
  for (const [key, expiry] of Object.entries({ a: '2024-01-15Z', b: '2024-02-01Z', c: null })) {
    const args = { ...account, p_idempotency_key: key, p_expires_at: expiry };
    await callAt(db, 'grant_credits', '2024-01-10Z', args);
  }
  const deduct = { ...account, p_idempotency_key: 'd' };
  await callAt(db, 'deduct_credits', '2024-04-02Z', deduct);
  expect(
    await db.query(
      `select period, credits_granted, credits_used, credits_expired, closing_balance, is_open
       from credits.invoice where account_id = 'late' order by period`,
    ),
  ).toEqual(
    [
      ['2024-01-01', 15, 0, 5, 10, false],
      ['2024-02-01', 0, 0, 5, 5, false],
      ['2024-04-01', 0, 5, 0, 0, false], // long over by now, though nothing has settled it
    ].map(([period, granted, used, expired, closing, open]) => ({
      period,
      credits_granted: granted,
      credits_used: used,
      credits_expired: expired,
      closing_balance: closing,
      is_open: open,
    })),
  );
  expect(await discrepancies(db)).toEqual([]);
});
