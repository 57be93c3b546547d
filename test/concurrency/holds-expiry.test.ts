import type pg from 'pg';
import { expect, test } from 'vitest';
import { call, callAt, grantAt, holdAt } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { HOUR, moment, us } from '../support/time.ts';
import { expectNoDiscrepancies, ledger, type Racer, raceFor, times, whenItComes } from './race.ts';

const db = useDatabase();

/** An account with 100 credits, all of them held for a moment; the moment at which that ends. */
async function expiring(account: string): Promise<string> {
  const args = { p_account_id: account, p_amount: 100 };
  await call(db, 'grant_credits', { ...args, p_idempotency_key: 'grant' });
  const hold = { ...args, p_idempotency_key: 'hold', p_expires_in: '3 seconds' };
  await call(db, 'hold_credits', hold);
  const { at } = await db.one(
    'select expires_at::text as at from credits.holds where account_id = $1',
    [account],
  );
  return at;
}

const racer =
  (account: string, name: string, args: Record<string, unknown>): Racer =>
  (client) =>
    call(client, name, { p_account_id: account, ...args });
const capture = (account: string, amount: number) => (i: number) =>
  racer(account, 'capture_hold', {
    p_hold_id: 1,
    p_amount: amount,
    p_idempotency_key: `capture ${i}`,
  });
const extend = (account: string) => () =>
  racer(account, 'extend_hold', { p_hold_id: 1, p_expires_in: '1 hour' });
const holdOf = (account: string) =>
  db.one('select state, held, captured from credits.holds where account_id = $1', [account]);

test('whoever waits while the hold expires hears that it has expired, and changes nothing', async () => {
  const at = await expiring('waiting');
  const { answers, errors } = await raceFor(
    db,
    'waiting',
    [
      ...times(8, capture('waiting', 10)),
      ...times(6, extend('waiting')),
      ...times(6, (i) =>
        racer('waiting', 'release_hold', { p_hold_id: 1, p_idempotency_key: `release ${i}` }),
      ),
    ],
    whenItComes(at),
  );
  expect(answers).toEqual([]);
  expect(errors).toHaveLength(20);
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'PT410', constraint: 'a_hold_is_resolved_once' });
    expect(error.detail.state).toBe('expired');
  }
  expect(await ledger(db, 'waiting')).toEqual(['grant 100']);
  expect(await holdOf('waiting')).toEqual({ state: 'expired', held: 0, captured: 0 });
  await expectNoDiscrepancies(db);
});

test('a deduction that waits while the hold expires gets what it returns', async () => {
  const at = await expiring('returned');
  const { answers, errors } = await raceFor(
    db,
    'returned',
    [
      ...times(15, (i) =>
        racer('returned', 'deduct_credits', { p_amount: 10, p_idempotency_key: `deduct ${i}` }),
      ),
      ...times(5, capture('returned', 100)),
    ],
    whenItComes(at),
  );
  expect(answers).toHaveLength(10);
  expect(errors.map(({ code }) => code).sort()).toEqual([
    ...times(5, () => 'PT402'),
    ...times(5, () => 'PT410'),
  ]);
  expect(await ledger(db, 'returned')).toEqual(['grant 100', ...times(10, () => 'deduction -10')]);
  const booked = await db.one(
    `select h.state, h.resolved_at = h.expires_at as on_time from credits_private.holds as h
     where h.account_id = 'returned'`,
  );
  expect(booked).toEqual({ state: 'expired', on_time: true });
  await expectNoDiscrepancies(db);
});

test('a capture that waits for an extension is in time, though the hold would have expired', async () => {
  const at = await expiring('extended');
  const extendFirst = async (holder: pg.Client) => {
    await extend('extended')()(holder);
    await whenItComes(at)(holder);
  };
  const racers = times(5, capture('extended', 10));
  const { answers, errors } = await raceFor(db, 'extended', racers, extendFirst);
  expect(answers).toMatchObject([{ amount: 10, balance: 90, available: 90 }]);
  expect(errors.map(({ detail }) => detail.state)).toEqual(times(4, () => 'captured'));
  await expectNoDiscrepancies(db);
});

test('captures, extensions and the expiry at once: the hold ends once, in one way', async () => {
  const start = us('2024-01-10T00:00:00Z');
  for (const n of [1, 2, 3, 4]) {
    const account = `once ${n}`;
    await grantAt(db, account, start, { key: 'grant', amount: 100 });
    await holdAt(db, account, start, { key: 'hold', amount: 100 });
    const at = (name: string, time: number, args: Record<string, unknown>): Racer => {
      const all = { p_account_id: account, ...args };
      return (client) => callAt(client, name, moment(time), all);
    };
    const final = { p_hold_id: 1, p_amount: 10, p_final: true, p_metadata: {} };
    const racers = times(6, (i) => [
      at('capture_hold', start + HOUR - 1, { ...final, p_idempotency_key: `${i}` }),
      at('settle_account', start + HOUR, {}),
      at('extend_hold', start + HOUR - 1, { p_hold_id: 1, p_expires_in: '1 minute' }),
    ]).flat();
    // Another one comes first each time.
    const order = [...racers.slice(n), ...racers.slice(0, n)];
    const { answers, errors } = await raceFor(db, account, order);
    const { state, captured } = await holdOf(account);
    const captures = answers.filter((answer) => 'transaction_id' in answer);
    expect(captures).toHaveLength(state === 'captured' ? 1 : 0);
    expect(captured).toBe(10 * captures.length);
    for (const { code, detail } of errors) expect([code, detail.state]).toEqual(['PT410', state]);
    expect(await ledger(db, account)).toEqual(['grant 100', ...captures.map(() => 'capture -10')]);
  }
  await expectNoDiscrepancies(db);
});

test.each(['repeatable read', 'serializable'])(
  'at %s, who waited for the end of a hold gets 40001, never the hold',
  async (level) => {
    for (const [n, end] of ['release_hold', 'capture_hold'].entries()) {
      const account = `${level} ${n}`;
      const args = { p_account_id: account, p_amount: 10 };
      await call(db, 'grant_credits', { ...args, p_amount: 50, p_idempotency_key: 'grant' });
      await call(db, 'hold_credits', { ...args, p_idempotency_key: 'hold' });
      // Nothing is left in it: to end it moves no credits.
      const part = { ...args, p_hold_id: 1, p_idempotency_key: 'part', p_final: false };
      await call(db, 'capture_hold', part);
      const late: Racer = async (client) => {
        await client.query(`begin isolation level ${level}`);
        await client.query('select count(*) from credits.remaining'); // the snapshot is taken here
        return capture(account, 5)(n)(client);
      };
      const { answers, errors } = await raceFor(db, account, [late, late], async (holder) => {
        await racer(account, end, {
          p_hold_id: 1,
          p_idempotency_key: 'end',
          ...(end === 'capture_hold' ? { p_amount: 0 } : {}),
        })(holder);
        await holder.query('commit');
      });
      expect(answers).toEqual([]);
      expect(errors.map(({ code }) => code)).toEqual(['40001', '40001']);
      expect(await holdOf(account)).toEqual({ state: 'released', held: 0, captured: 10 });
    }
    await expectNoDiscrepancies(db);
  },
);
