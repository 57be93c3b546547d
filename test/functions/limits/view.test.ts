import { beforeEach, expect, test } from 'vitest';
import { type Arguments, call, deductAt, holdAt, limitAt, unique } from '../../support/calls.ts';
import { asRole, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { openAt } from '../../support/limits.ts';
import { DAY, noon } from '../../support/time.ts';

const db = useDatabase();

let account: string;
beforeEach(async () => {
  account = unique('account');
});

const on = (name: string, args: Arguments) => call(db, name, { p_account_id: account, ...args });
const set = (id: string, ceiling: number, args: Arguments = {}) =>
  on('set_limit', { p_limit_id: id, p_ceiling: ceiling, ...args });
const spend = (name: string, amount: number, args: Arguments = {}) =>
  on(name, { p_amount: amount, p_idempotency_key: unique(), ...args });
const view = () =>
  db.query('select * from credits.limits where account_id = $1 order by limit_id, scope_id', [
    account,
  ]);

test('credits.limits says of every limit what is spent, reserved and left now', async () => {
  await spend('grant_credits', 1000);
  await on('open_account', { p_time_zone: noon(), p_anchor_day: 1 });
  await spend('deduct_credits', 30, { p_api_key_id: 'a', p_run_id: 'r' });
  await set('account', 100, { p_overage: 20 });
  await set('day', 50, { p_window: 'day', p_scope: 'api_key' });
  await set('run', 25, { p_window: 'total', p_scope: 'run', p_scope_id: 'r' });
  await set('some operation', 60, { p_scope: 'operation' });
  await set('unused run', 40, { p_scope: 'run', p_scope_id: 'other' });
  await spend('hold_credits', 15, { p_api_key_id: 'a' });
  await spend('hold_credits', 5, { p_api_key_id: 'b' });
  await spend('deduct_credits', 2);

  const { period, today, ...bounds } = await db.one(
    `select period, today,
       period::timestamp at time zone 'UTC' as period_from, period_ends_at as period_until,
       today::timestamp at time zone time_zone as day_from,
       (today + 1)::timestamp at time zone time_zone as day_until
     from credits_private.accounts, lateral
       (select (clock_timestamp() at time zone time_zone)::date as today) as d
     where account_id = $1`,
    [account],
  );
  const nothing = { overage: 0, spent: 0, reserved: 0, account_id: account };
  const inPeriod = {
    limit_window: 'period',
    window_start: period,
    window_starts_at: bounds.period_from,
    window_ends_at: bounds.period_until,
  };
  const onDay = {
    limit_window: 'day',
    window_start: today,
    window_starts_at: bounds.day_from,
    window_ends_at: bounds.day_until,
    scope: 'api_key',
    is_each: true,
  };
  expect(await view()).toEqual([
    {
      ...nothing,
      ...inPeriod,
      limit_id: 'account',
      scope: 'account',
      scope_id: null,
      is_each: false,
      ceiling: 100,
      overage: 20,
      spent: 32,
      reserved: 20,
      remaining: 68,
    },
    {
      ...nothing,
      ...onDay,
      limit_id: 'day',
      scope_id: 'a',
      ceiling: 50,
      spent: 30,
      reserved: 15,
      remaining: 5,
    },
    {
      ...nothing,
      ...onDay,
      limit_id: 'day',
      scope_id: 'b',
      ceiling: 50,
      reserved: 5,
      remaining: 45,
    },
    {
      ...nothing,
      ...onDay,
      limit_id: 'day',
      scope_id: null, // calls that name none
      ceiling: 50,
      spent: 2,
      remaining: 48,
    },
    {
      ...nothing,
      limit_id: 'run',
      scope: 'run',
      scope_id: 'r',
      is_each: false,
      limit_window: 'total',
      window_start: null,
      window_starts_at: null,
      window_ends_at: null,
      ceiling: 25,
      spent: 30,
      remaining: 0,
    },
    {
      ...nothing,
      ...inPeriod,
      limit_id: 'some operation',
      scope: 'operation',
      scope_id: null,
      is_each: true,
      ceiling: 60,
      spent: 32, // by calls that name none
      reserved: 20,
      remaining: 8,
    },
    {
      ...nothing,
      ...inPeriod,
      limit_id: 'unused run',
      scope: 'run',
      scope_id: 'other',
      is_each: false,
      ceiling: 40,
      remaining: 40,
    },
  ]);
  const auditor = await asRole(db, 'credits_auditor');
  const { rows } = await auditor.query('select * from credits.limits where account_id = $1', [
    account,
  ]);
  await auditor.end();
  expect(rows).toHaveLength(7);
});

test('credits.limits shows the current window, and no hold that has expired, also before anything settles', async () => {
  const long = Date.now() * 1000 - 100 * DAY;
  await openAt(db, account, long);
  await limitAt(db, account, long, { id: 'day', ceiling: 100, window: 'day' });
  await limitAt(db, account, long, { id: 'each', ceiling: 100, scope: 'run' });
  await limitAt(db, account, long, { id: 'ever', ceiling: 100, window: 'total' });
  await deductAt(db, account, long, { key: 'call', amount: 30, run: 'r' });
  await holdAt(db, account, long, { key: 'hold', amount: 40, run: 'r', expiresIn: '99 days' });
  await holdAt(db, account, long, { key: 'open', amount: 2, run: 'r', expiresIn: '200 days' });
  const shown = (await view()).map((row) => [
    row.limit_id,
    row.scope_id,
    row.spent,
    row.reserved,
    row.remaining,
  ]);
  expect(shown).toEqual([
    ['day', null, 0, 2, 98],
    ['each', 'r', 0, 2, 98],
    ['ever', null, 30, 2, 68],
  ]);
  await on('settle_account', {});
  const settled = (await view()).map((row) => [row.limit_id, row.remaining]);
  expect(settled).toEqual([
    ['day', 98],
    ['each', 98],
    ['ever', 68],
  ]);
});

test('credits.limits says when an hour and a week begin and end', async () => {
  await spend('grant_credits', 1000);
  await on('open_account', { p_time_zone: 'Asia/Kolkata' });
  await set('hour', 10, { p_window: 'hour' });
  await set('week', 10, { p_window: 'week' });
  const { now } = await db.one('select clock_timestamp() as now');
  const shown = await view();
  const half = 1_800_000; // India's hours begin within those of UTC
  const hour = new Date(Math.floor((now.getTime() + half) / 3_600_000) * 3_600_000 - half);
  expect(shown[0].window_starts_at).toEqual(hour);
  expect(shown[0].window_ends_at).toEqual(new Date(hour.getTime() + 3_600_000));
  const [week] = await db.query(
    `select window_start = date_trunc('week', $1::timestamptz at time zone 'Asia/Kolkata') as starts,
       extract(isodow from window_starts_at at time zone 'Asia/Kolkata')::int as day,
       (window_ends_at - window_starts_at)::text as lasts
     from credits.limits where account_id = $2 and limit_id = 'week'`,
    [now, account],
  );
  expect(week).toEqual({ starts: true, day: 1, lasts: '7 days' });
});

test('what remains of a limit can be spent, and not one credit more', async () => {
  await spend('grant_credits', 1000);
  await set('one', 100, { p_overage: 7, p_window: 'total' });
  await spend('deduct_credits', 33);
  await spend('hold_credits', 11);
  const [{ remaining }] = await view();
  expect(remaining).toBe(63);
  await expect(spend('deduct_credits', remaining + 1)).rejects.toMatchObject({ code: 'PT429' });
  await spend('deduct_credits', remaining);
  expect((await view())[0]).toMatchObject({ spent: 96, reserved: 11, remaining: 0 });
  expect(await discrepancies(db, account)).toEqual([]);
});
