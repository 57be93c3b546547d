import type pg from 'pg';
import { describe, expect, test } from 'vitest';
import { call } from '../support/calls.ts';
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

describe.each(['repeatable read', 'serializable'])('at %s', (level) => {
  const grant = (account: string, amount: number) =>
    call(db, 'grant_credits', {
      p_account_id: account,
      p_amount: amount,
      p_idempotency_key: 'grant',
    });

  /** Twelve transactions of this level, begun before an earlier deduction of 5 has committed. */
  const raceAfterDeduction = (account: string, work: (i: number) => Racer) =>
    raceFor(
      db,
      account,
      times(12, (i) => retried(level, work(i))),
      async (holder) => {
        const args = { p_account_id: account, p_amount: 5, p_idempotency_key: 'earlier' };
        await call(holder, 'deduct_credits', args);
        await holder.query('commit');
      },
    );

  const deduct = (account: string, key: string) => (client: pg.Client) =>
    call(client, 'deduct_credits', {
      p_account_id: account,
      p_amount: 10,
      p_idempotency_key: key,
    });

  test('who waited gets 40001, and its transaction works when it is tried again', async () => {
    const account = `each ${level}`;
    await grant(account, 85);
    const { answers, errors } = await raceAfterDeduction(account, (i) => deduct(account, `${i}`));
    expect(answers).toHaveLength(8);
    expect(answers.every(({ tries }: Retried) => tries > 1)).toBe(true);
    expect(errors.map((error) => error.code)).toEqual(times(4, () => 'PT402'));
    expect(await ledger(db, account)).toEqual([
      'grant 85',
      'deduction -5',
      ...times(8, () => 'deduction -10'),
    ]);
    await expectNoDiscrepancies(db);
  });

  test('one key takes effect once, and all get its answer when they try again', async () => {
    const account = `one ${level}`;
    await grant(account, 100);
    const { answers, errors } = await raceAfterDeduction(account, () => deduct(account, 'shared'));
    expect(errors).toEqual([]);
    expect(answers.filter(({ answer }: Retried) => !answer.replayed)).toHaveLength(1);
    expect(new Set(answers.map(({ answer }) => answer.transaction_id))).toEqual(new Set([3]));
    expect(await ledger(db, account)).toEqual(['grant 100', 'deduction -5', 'deduction -10']);
    await expectNoDiscrepancies(db);
  });

  test('first grants to one account open it once', async () => {
    const account = `first ${level}`;
    await grant(`gate ${level}`, 1);
    // All wait for another account's row: none has seen the new account, and all go on together.
    const { answers, errors } = await raceFor(
      db,
      `gate ${level}`,
      times(12, (i) =>
        retried(level, async (client) => {
          await call(client, 'settle_account', { p_account_id: `gate ${level}` });
          return call(client, 'grant_credits', {
            p_account_id: account,
            p_amount: 5,
            p_idempotency_key: `grant ${i % 2}`,
          });
        }),
      ),
    );
    expect(errors).toEqual([]);
    expect(answers.filter(({ answer }: Retried) => !answer.replayed)).toHaveLength(2);
    expect(await ledger(db, account)).toEqual(['grant 5', 'grant 5']);
    await expectNoDiscrepancies(db);
  });

  test('a settings change that another made meanwhile is never overlooked', async () => {
    const account = `settings ${level}`;
    await grant(account, 100);
    const { answers } = await raceFor(
      db,
      account,
      [retried(level, deduct(account, 'one'))],
      async (holder) => {
        await call(holder, 'open_account', { p_account_id: account, p_time_zone: 'Asia/Tokyo' });
        await holder.query('commit');
      },
    );
    expect(answers).toMatchObject([{ tries: 2, answer: { balance: 90 } }]);
    await expectNoDiscrepancies(db);
  });
});
