import { describe, expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  holdAt,
  type Limit,
  limitAt,
  refundAt,
  unique,
} from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { counters, expectPassed, openAt } from '../../support/limits.ts';
import { DAY, HOUR, us } from '../../support/time.ts';

const db = useDatabase();
const now = us('2024-05-10T12:00:00Z');
const [april, yesterday] = [now - 20 * DAY, now - DAY];
const mine = { apiKey: 'mine', operation: 'mine', run: 'mine' };
const other = { apiKey: 'other', operation: 'other', run: 'other' };

/**
 * Spent in April, yesterday and today, by `mine`, by `other` and by nobody, with captures, and with
 * refunds of each day's, all of them made today. What is left of it, by `mine`:
 * April 1, yesterday 6, today 270; by `other`: yesterday 20; by nobody: today 1000.
 */
async function spend(account: string): Promise<void> {
  const deduct = async (at: number, amount: number, ids = {}): Promise<number> =>
    (await deductAt(db, account, at, { key: `${amount}`, amount, ...ids })).transaction_id;
  const refund = (transaction: number, amount: number) =>
    refundAt(db, account, now, { key: `refund ${amount}`, transaction, amount });

  const first = await deduct(april, 3, mine);
  const second = await deduct(yesterday, 10, mine);
  await deduct(yesterday, 20, other);
  const third = await deduct(now - HOUR, 100, mine);
  await deduct(now - HOUR, 1000);
  const hold = { key: 'hold', amount: 300, expiresIn: '2 hours', ...mine };
  const { hold_id } = await holdAt(db, account, now - HOUR, hold);
  await captureAt(db, account, now, { key: 'part', hold: hold_id, amount: 150, final: false });
  const capture = { key: 'end', hold: hold_id, amount: 90 };
  const { transaction_id } = await captureAt(db, account, now, capture);
  await refund(first, 2);
  await refund(second, 4);
  await refund(third, 30);
  await refund(transaction_id, 40);
}

type Counted = [scopeId: string, spent: number][];
const both = (mine: number, other: number): Counted => [
  ['mine', mine],
  ['other', other],
];
const rows: [window: NonNullable<Limit['window']>, start: string, all: number, each: Counted][] = [
  ['day', '2024-05-10', 1270, [['mine', 270]]],
  ['period', '2024-05-01', 1296, both(276, 20)],
  ['total', '-infinity', 1297, both(277, 20)],
];

describe.each(rows)('a limit per %s that is set in mid-window', (window, start, all, each) => {
  /** Set after all that was spent, and, in another account, before it: the same is counted. */
  async function counted(set: Limit): Promise<Counted> {
    const [late, early] = [unique('late'), unique('early')];
    for (const account of [late, early]) await openAt(db, account, april);
    await limitAt(db, early, april, set);
    await Promise.all([late, early].map(spend));
    await limitAt(db, late, now, set);
    const found = await counters(db, late);
    expect((await counters(db, early)).filter((row) => row[1] === start)).toEqual(found);
    expect(found.every((row) => row[0] === set.id && row[1] === start)).toBe(true);

    for (const [scopeId, spent] of found.map((row) => [row[2], row[3]])) {
      const ids = scopeId && { apiKey: scopeId, operation: scopeId, run: scopeId };
      const ask = (amount: number, key: string) =>
        deductAt(db, late, now, { key: `${key} ${scopeId}`, amount, ...ids });
      const remaining = set.ceiling - spent;
      const left = {
        spent,
        remaining,
        requested: remaining + 1,
        ...(ids && { scope_id: scopeId }),
      };
      await expectPassed(ask(remaining + 1, 'too much'), late, set, left);
      await ask(remaining, 'all');
    }
    expect([...(await discrepancies(db, late)), ...(await discrepancies(db, early))]).toEqual([]);
    return found.map((row) => [row[2], row[3]]);
  }

  const set = { id: 'limit', ceiling: 2000, window };
  test('on the account starts from what the ledger shows for the window', async () => {
    expect(await counted(set)).toEqual([['', all]]);
  });

  test.each(['api_key', 'operation', 'run'] as const)(
    'on each %s starts from what the ledger shows for the window',
    async (scope) => {
      const unnamed: Counted = [['', 1000]];
      expect(await counted({ ...set, scope })).toEqual([...unnamed, ...each]);
    },
  );

  test.each(['api_key', 'operation', 'run'] as const)(
    'on one %s starts from what the ledger shows for the window',
    async (scope) => {
      expect(await counted({ ...set, scope, scopeId: 'mine' })).toEqual(each.slice(0, 1));
    },
  );
});

test('a limit that is passed when it is set stops what comes next, until enough is refunded', async () => {
  const account = unique('passed');
  await openAt(db, account, now);
  const { transaction_id } = await deductAt(db, account, now, { key: 'before', amount: 100 });
  const set: Limit = { id: 'low', ceiling: 30 };
  await limitAt(db, account, now, set);
  const one = (key: string) => deductAt(db, account, now, { key, amount: 1 });
  await expectPassed(one('a'), account, set, { spent: 100, remaining: 0, requested: 1 });
  await refundAt(db, account, now, { key: 'refund', transaction: transaction_id, amount: 71 });
  await one('b');
  await expectPassed(one('c'), account, set, { spent: 30, remaining: 0, requested: 1 });
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a limit counts from the start what is held when it is set', async () => {
  const account = unique('held');
  await openAt(db, account, now);
  await holdAt(db, account, now, { key: 'hold', amount: 25, ...mine });
  const set: Limit = { id: 'run', ceiling: 30, scope: 'run', window: 'total' };
  await limitAt(db, account, now, set);
  const more = deductAt(db, account, now, { key: 'more', amount: 6, ...mine });
  const left = { spent: 0, reserved: 25, remaining: 5, requested: 6, scope_id: 'mine' };
  await expectPassed(more, account, set, left);
});

test('a limit stays in its window when the clock is set back after it was set', async () => {
  const account = unique('clock');
  await openAt(db, account, yesterday);
  await deductAt(db, account, yesterday, { key: 'before', amount: 6 });
  await limitAt(db, account, now, { id: 'day', ceiling: 10, window: 'day' });
  await deductAt(db, account, yesterday + HOUR, { key: 'after', amount: 5 });
  expect(await counters(db, account)).toEqual([['day', '2024-05-10', '', 5]]);
  expect(await discrepancies(db, account)).toEqual([]);
});
