import type pg from 'pg';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Arguments, batch, call, unique } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import {
  expectNoDiscrepancies,
  ledger,
  type Racer,
  type Retried,
  raceFor,
  retried,
  times,
} from './race.ts';

const db = useDatabase();

// Each racer's snapshot is older than a call that commits while it waits: it must not act on it.
describe.each(['repeatable read', 'serializable'])('at %s', (level) => {
  let account: string;
  const on = (client: pg.Client | typeof db, name: string, args: Arguments) =>
    call(client, name, { p_account_id: account, ...args });
  const keyed = (client: pg.Client | typeof db, name: string, key: string, args: Arguments) =>
    on(client, name, { p_idempotency_key: key, ...args });

  beforeEach(async () => {
    account = unique(level);
    await keyed(db, 'grant_credits', 'grant', { p_amount: 85 });
  });

  const raceAfter = (earlier: (holder: pg.Client) => Promise<unknown>, racers: Racer[]) =>
    raceFor(
      db,
      account,
      racers.map((racer) => retried(level, racer)),
      async (holder) => {
        await earlier(holder);
        await holder.query('commit');
      },
    );
  const spendsFive = (holder: pg.Client) =>
    keyed(holder, 'deduct_credits', 'earlier', { p_amount: 5 });
  const codes = (errors: { code: string }[]) => errors.map(({ code }) => code);
  const figures = () =>
    db.one('select balance, held, available from credits.remaining where account_id = $1', [
      account,
    ]);

  test('holds and deductions reserve and spend no more than there is', async () => {
    const { answers, errors } = await raceAfter(
      spendsFive,
      times(12, (i) => (client: pg.Client) => {
        const name = i % 2 ? 'hold_credits' : 'deduct_credits';
        return keyed(client, name, `${i}`, { p_amount: 10 });
      }),
    );
    expect(answers).toHaveLength(8);
    expect(answers.every(({ tries }: Retried) => tries > 1)).toBe(true);
    expect(codes(errors)).toEqual(times(4, () => 'PT402'));
    expect(await figures()).toMatchObject({ available: 0 });
    await expectNoDiscrepancies(db);
  });

  test('a hold is captured once to the end, and in parts no further than it goes', async () => {
    await keyed(db, 'hold_credits', 'hold', { p_amount: 80 });
    const capture = (key: string, args: Arguments) => (client: pg.Client) =>
      keyed(client, 'capture_hold', key, { p_hold_id: 1, p_amount: 10, ...args });
    const parts = await raceAfter(
      spendsFive,
      times(10, (i) => capture(`part ${i}`, { p_final: false })),
    );
    expect(parts.answers).toHaveLength(8);
    expect(codes(parts.errors)).toEqual(times(2, () => 'PT402'));

    await keyed(db, 'grant_credits', 'more', { p_amount: 85 });
    const ends = await raceAfter(
      (holder) => keyed(holder, 'deduct_credits', 'later', { p_amount: 5 }),
      times(6, (i) => capture(`final ${i}`, {})),
    );
    expect(ends.answers).toHaveLength(1);
    expect(codes(ends.errors)).toEqual(times(5, () => 'PT410'));
    expect(await figures()).toEqual({ balance: 70, held: 0, available: 70 });
    await expectNoDiscrepancies(db);
  });

  test('batches answer what the account has by then, each of them', async () => {
    const other = unique(level);
    await call(db, 'grant_credits', {
      p_account_id: other,
      p_amount: 1000,
      p_idempotency_key: 'grant',
    });
    const items = (key: string) =>
      [other, account].map((account_id) => ({ account_id, amount: 10, idempotency_key: key }));
    const { answers, errors } = await raceAfter(
      spendsFive,
      times(10, (i) => (client: pg.Client) => batch(client, items(`${i}`))),
    );
    expect(errors).toEqual([]);
    expect(answers.every(({ tries }: Retried) => tries > 1)).toBe(true);
    const outcomes = answers.flatMap(({ answer }) =>
      answer.map(({ error_code }: { error_code: string | null }) => error_code),
    );
    expect(outcomes.filter((code) => code === null)).toHaveLength(18);
    expect(outcomes.filter((code) => code === 'PT402')).toHaveLength(2);
    expect(await figures()).toEqual({ balance: 0, held: 0, available: 0 });
    await expectNoDiscrepancies(db);
  });

  test('a revocation and deductions take each credit once', async () => {
    const { answers, errors } = await raceAfter(spendsFive, [
      (client) => keyed(client, 'revoke_grant', 'revoke', { p_grant_id: 1 }),
      ...times(
        5,
        (i) => (client: pg.Client) => keyed(client, 'deduct_credits', `${i}`, { p_amount: 10 }),
      ),
    ]);
    const taken = answers.reduce((sum, { answer }: Retried) => sum + answer.amount, 0);
    expect(taken).toBe(80);
    expect(answers.every(({ tries }: Retried) => tries > 1)).toBe(true);
    expect(new Set(codes(errors))).toEqual(errors.length > 0 ? new Set(['PT402']) : new Set());
    expect(await figures()).toEqual({ balance: 0, held: 0, available: 0 });
    await expectNoDiscrepancies(db);
  });

  test('the first spending of a window passes no limit', async () => {
    await on(db, 'set_limit', { p_limit_id: 'run', p_ceiling: 40, p_scope: 'run' });
    const args = { p_amount: 10, p_run_id: 'run' };
    const { answers, errors } = await raceAfter(
      (holder) => keyed(holder, 'deduct_credits', 'earlier', { ...args, p_amount: 5 }),
      times(8, (i) => (client: pg.Client) => keyed(client, 'deduct_credits', `${i}`, args)),
    );
    expect(answers).toHaveLength(3);
    expect(codes(errors)).toEqual(times(5, () => 'PT429'));
    await expectNoDiscrepancies(db);
  });

  const settings: [string, Arguments, string][] = [
    ['set_limit', { p_limit_id: 'all', p_ceiling: 9 }, 'PT429'],
    ['close_account', {}, 'PT423'],
  ];
  test.each(settings)('%s, meanwhile, is never overlooked', async (name, args, code) => {
    await on(db, 'set_limit', { p_limit_id: 'all', p_ceiling: 1000 });
    const racers = ['deduct_credits', 'hold_credits'].map(
      (call) => (client: pg.Client) => keyed(client, call, call, { p_amount: 10 }),
    );
    const { answers, errors } = await raceAfter((holder) => on(holder, name, args), racers);
    expect(answers).toEqual([]);
    expect(codes(errors)).toEqual([code, code]);
    expect(await ledger(db, account)).toEqual(['grant 85']);
    await expectNoDiscrepancies(db);
  });

  test('a limit that was removed, an overdraft that was given: neither is overlooked', async () => {
    await on(db, 'set_limit', { p_limit_id: 'all', p_ceiling: 9 });
    const { answers, errors } = await raceAfter(
      async (holder) => {
        await on(holder, 'remove_limit', { p_limit_id: 'all' });
        await on(holder, 'set_overdraft_limit', { p_overdraft_limit: 15 });
      },
      times(
        3,
        (i) => (client: pg.Client) => keyed(client, 'deduct_credits', `${i}`, { p_amount: 40 }),
      ),
    );
    expect(answers).toHaveLength(2);
    expect(errors).toMatchObject([{ code: 'PT402', detail: { available: 20 } }]);
    await expectNoDiscrepancies(db);
  });
});
