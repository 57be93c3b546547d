import type pg from 'pg';
import { expect, test } from 'vitest';
import { grantAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';
import { DAY, HOUR, moment, us } from '../../support/time.ts';

// What a role or a connection pool may have set. Apia had no 30 December 2011, New York's 11 March
// 2012 had 23 hours, and nobody is as far from Greenwich as the last two.
const db = useDatabase();
const settings = [
  ['UTC', 'ISO, YMD', 'postgres'],
  ['Pacific/Apia', 'SQL, DMY', 'sql_standard'],
  ['America/New_York', 'German', 'postgres_verbose'],
  ['<+13:37>-13:37', 'Postgres, MDY', 'iso_8601'],
  ['<-23:59>23:59', 'SQL, MDY', 'sql_standard'],
];

async function session(zone?: string, dateStyle?: string, intervalStyle?: string) {
  const client = await db.connect();
  await client.query(
    `select set_config('timezone', $1, false), set_config('datestyle', $2, false),
       set_config('intervalstyle', $3, false)`,
    [zone, dateStyle, intervalStyle],
  );
  return client;
}

const microseconds = '(extract(epoch from expires_at) * 1000000)::bigint as expires_at';
async function hold(client: pg.Client, account: string, at: number, expiresIn: string) {
  const { rows } = await client.query(
    `select hold_id, available, replayed, ${microseconds}
     from credits_private.hold_credits_at($1, 1, $2, $3, null, null, null, '{}', $4)`,
    [account, `${at} for ${expiresIn}`, expiresIn, moment(at)],
  );
  return rows[0];
}

const holds: [from: number, expiresIn: string, to: number][] = [
  [us('2011-12-29T09:30:00.123Z') + 456, '1 day', us('2011-12-30T09:30:00.123Z') + 456],
  [us('2011-12-29T09:30:00Z'), '48 hours', us('2011-12-31T09:30:00Z')],
  [us('2011-12-30T23:59:59Z'), '1 month', us('2012-01-30T23:59:59Z')],
  [us('2012-01-31T03:00:00Z'), '1 month', us('2012-02-29T03:00:00Z')],
  [us('2012-03-10T20:00:00Z'), '1 day', us('2012-03-11T20:00:00Z')],
  [us('2012-03-10T20:00:00Z'), '1 year 1 day 1 hour', us('2013-03-11T21:00:00Z')],
];
test.each(settings)('a hold lasts as long in a session with %s, %s and %s', async (...setting) => {
  const client = await session(...setting);
  for (const [n, [from, expiresIn, to]] of holds.entries()) {
    const account = `${setting[0]} ${n}`;
    await grantAt(db, account, from, { key: 'grant', amount: 2 });
    expect(await hold(client, account, from, '1 hour')).toMatchObject({ expires_at: from + HOUR });
    expect(await hold(client, account, from, expiresIn)).toMatchObject({ expires_at: to });
    const { rows } = await client.query(
      `select ${microseconds} from credits_private.extend_hold_at($1, 1, $2, $3)`,
      [account, expiresIn, moment(from)],
    );
    expect(rows).toEqual([{ expires_at: to }]);
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('the replay of a hold is recognised with other session settings, and answered with the same moment', async () => {
  const clients = await Promise.all(settings.map((setting) => session(...setting)));
  const start = us('2011-12-29T09:30:00Z') + 123_456;
  await grantAt(db, 'acme', start, { key: 'grant', amount: 100 });
  const durations = ['1 day', '1 month 2 days 03:04:05.678901', '1 hour', '10 years', '1 week'];
  for (const [n, first] of clients.entries()) {
    const expiresIn = durations[n] ?? '';
    const answer = await hold(first, 'acme', start + n * DAY, expiresIn);
    expect(answer.replayed).toBe(false);
    const before = await everything(db);
    for (const client of clients) {
      const again = await hold(client, 'acme', start + n * DAY, expiresIn);
      expect(again).toEqual({ ...answer, replayed: true });
    }
    expect(await everything(db)).toBe(before);
  }
});
