import { expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, ledger, type Racer, raceFor, times, whenItComes } from './race.ts';

const db = useDatabase();

/** An account with 100 credits that expire in a moment, and 7 that do not; the moment. */
async function expiring(account: string): Promise<string> {
  const { at } = await db.one(`select (clock_timestamp() + interval '3 seconds')::text as at`);
  const grant = (amount: number, expiresAt: string | null) =>
    call(db, 'grant_credits', {
      p_account_id: account,
      p_amount: amount,
      p_expires_at: expiresAt,
      p_idempotency_key: `grant ${amount}`,
    });
  await grant(100, at);
  await grant(7, null);
  return at;
}

const deduct =
  (account: string, amount: number) =>
  (i: number): Racer =>
  (client) =>
    call(client, 'deduct_credits', {
      p_account_id: account,
      p_amount: amount,
      p_idempotency_key: `deduct ${amount} ${i}`,
    });

test('a deduction that waits while the credits expire does not get them', async () => {
  const at = await expiring('waiting');
  const { answers, errors } = await raceFor(
    db,
    'waiting',
    [...times(10, deduct('waiting', 50)), ...times(10, deduct('waiting', 1))],
    whenItComes(at),
  );
  expect(answers).toHaveLength(7);
  expect(errors).toHaveLength(13);
  for (const { code, detail } of errors) {
    expect(code).toBe('PT402');
    expect(detail.available).toBeLessThanOrEqual(7);
  }
  expect(await ledger(db, 'waiting')).toEqual([
    'grant 100',
    'grant 7',
    'expiry -100',
    ...times(7, () => 'deduction -1'),
  ]);
  expect(
    await db.one(
      `select effective_at = $1 as on_time, created_at > effective_at as was_late
       from credits.transactions where account_id = 'waiting' and kind = 'expiry'`,
      [at],
    ),
  ).toEqual({ on_time: true, was_late: true });
  await expectNoDiscrepancies(db);
});

test('a change of settings that waits while the credits expire sees them gone', async () => {
  const at = await expiring('settings');
  const open: Racer = (client) =>
    call(client, 'open_account', { p_account_id: 'settings', p_time_zone: 'Europe/Berlin' });
  const { answers } = await raceFor(db, 'settings', [open], whenItComes(at));
  expect(answers).toMatchObject([{ balance: 7, available: 7 }]);
  expect(await ledger(db, 'settings')).toEqual(['grant 100', 'grant 7', 'expiry -100']);
  await expectNoDiscrepancies(db);
});

test('whoever books an expiry, it is booked once', async () => {
  const at = await expiring('booked');
  const settleAccount: Racer = (client) =>
    call(client, 'settle_account', { p_account_id: 'booked' });
  const grant = (i: number): Racer => {
    const args = { p_account_id: 'booked', p_amount: 1, p_idempotency_key: `more ${i}` };
    return (client) => call(client, 'grant_credits', args);
  };
  const { answers, errors } = await raceFor(
    db,
    'booked',
    [...times(8, () => settleAccount), ...times(7, deduct('booked', 1)), ...times(5, grant)],
    async (holder) => {
      // It does not wait for a lock: so it is called at the very moment, and skips the account.
      await whenItComes(at)(holder);
      await Promise.all(times(4, () => db.query('select credits.settle_due()')));
    },
  );
  expect(errors).toEqual([]);
  expect(answers).toHaveLength(20);
  const entries = await ledger(db, 'booked');
  expect(entries.filter((entry) => entry === 'expiry -100')).toHaveLength(1);
  expect(entries).toHaveLength(15);
  await expectNoDiscrepancies(db);
});

test('settling and spending an account at once, before it is due, book no expiry', async () => {
  const hour = `clock_timestamp() + interval '1 hour'`;
  await db.query(`select credits.grant_credits('early', 100, 'grant', p_expires_at => ${hour})`);
  const settleAccount: Racer = (client) =>
    call(client, 'settle_account', { p_account_id: 'early' });
  const { errors } = await raceFor(db, 'early', [
    ...times(10, () => settleAccount),
    ...times(10, deduct('early', 10)),
  ]);
  expect(errors).toEqual([]);
  expect(await ledger(db, 'early')).toEqual(['grant 100', ...times(10, () => 'deduction -10')]);
  await expectNoDiscrepancies(db);
});
