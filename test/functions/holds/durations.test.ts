import { expect, test } from 'vitest';
import { call, extendAt, grantAt, holdAt, settleAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { everything, figuresAt } from '../../support/ledger.ts';
import { HOUR, moment, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z') + 123_456;
const later = us('2030-01-10T00:00:00Z');

// Before Postgres 17 it is no interval.
test.each(['infinity', '-infinity'])('a hold that lasts %s is refused', async (interval) => {
  await grantAt(db, 'endless', start, { key: unique(), amount: 10 });
  await holdAt(db, 'endless', start, { key: unique(), amount: 1, expiresIn: '10 years' });
  const before = await everything(db);
  for (const [name, args] of [
    ['hold_credits', { p_amount: 1, p_idempotency_key: 'new' }],
    ['extend_hold', { p_hold_id: 1 }],
  ] as const) {
    const endless = { p_account_id: 'endless', ...args, p_expires_in: interval };
    const error = await raised(call(db, name, endless));
    if (error.code === '22007') continue;
    expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_expires_in' } });
  }
  expect(await everything(db)).toBe(before);
});

test('a hold lasts a microsecond at least, and ten years at most', async () => {
  await grantAt(db, 'bounds', start, { key: 'grant', amount: 100 });
  const hold = (expiresIn: string) =>
    holdAt(db, 'bounds', later, { key: expiresIn, amount: 1, expiresIn });
  const ends = async (expiresIn: string) => (await hold(expiresIn)).expires_at.toISOString();
  expect(await ends('10 years')).toBe('2040-01-10T00:00:00.000Z');
  expect(await ends('3652 days')).toBe('2040-01-10T00:00:00.000Z');
  for (const expiresIn of ['10 years 1 microsecond', '3653 days', '-1 day 24 hours']) {
    const error = await raised(hold(expiresIn));
    expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_expires_in' } });
  }
  await hold('1 microsecond');
  expect(await figuresAt(db, 'bounds', later)).toMatchObject({ held: 3 });
  expect(await figuresAt(db, 'bounds', later + 1)).toMatchObject({ held: 2 });
});

test('extend_hold never shortens a hold, and settles what else is due', async () => {
  await grantAt(db, 'longer', start, { key: 'grant', amount: 10 });
  await grantAt(db, 'longer', start, { key: 'soon', amount: 5, expires: start + 1 });
  await holdAt(db, 'longer', start, { key: 'hold', amount: 1, expiresIn: '3 hours' });
  const extend = async (at: number, expiresIn: string) => {
    const answer = await extendAt(db, 'longer', at, { hold: 1, expiresIn });
    return [answer.balance, answer.amount, answer.expires_at.getTime() * 1000];
  };
  const shown = Math.floor(start / 1000) * 1000; // a Date has no microseconds
  expect(await extend(start, '1 hour')).toEqual([15, 1, shown + 3 * HOUR]);
  expect(await extend(start + HOUR, '1 microsecond')).toEqual([11, 1, shown + 3 * HOUR]);
  expect(await extend(start + HOUR, '2 hours')).toEqual([11, 1, shown + 3 * HOUR]);
  expect(await extend(start + 2 * HOUR, '2 hours')).toEqual([11, 1, shown + 4 * HOUR]);
  // Repeated, it counts from its own now.
  expect(await extend(start + 3 * HOUR, '2 hours')).toEqual([11, 1, shown + 5 * HOUR]);
  // At the moment at which it would have ended first, nothing ends.
  await settleAt(db, 'longer', start + 4 * HOUR);
  expect(await figuresAt(db, 'longer', start + 5 * HOUR - 1)).toMatchObject({ held: 1 });
  expect(await figuresAt(db, 'longer', start + 5 * HOUR)).toMatchObject({ held: 0 });
  expect(
    await raised(extendAt(db, 'longer', start + 5 * HOUR, { hold: 1, expiresIn: '1 day' })),
  ).toMatchObject({
    code: 'PT410',
    detail: { state: 'expired', resolved_at: moment(start + 5 * HOUR) },
  });
});
