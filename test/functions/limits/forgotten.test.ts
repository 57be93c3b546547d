import { expect, test } from 'vitest';
import {
  callAt,
  captureAt,
  deductAt,
  holdAt,
  type Limit,
  limitAt,
  refundAt,
} from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { counters, expectPassed, openAt } from '../../support/limits.ts';
import { DAY, moment, us } from '../../support/time.ts';

const db = useDatabase();
const now = us('2024-05-10T12:00:00Z');

const forget = (account: string, at = now) =>
  callAt(db, 'forget_account', at, { p_account_id: account });

test('forgetting a person switches no limit off: each counts on as it did', async () => {
  const account = 'forgotten';
  await openAt(db, account, now);
  const limits: Limit[] = [
    { id: 'a each key', ceiling: 100, scope: 'api_key', window: 'day' },
    { id: 'b one key', ceiling: 100, scope: 'api_key', scopeId: 'ann' },
    { id: 'c unused key', ceiling: 100, scope: 'api_key', scopeId: 'eve' },
    { id: 'd each run', ceiling: 20, scope: 'run', window: 'total' },
    { id: 'e operation', ceiling: 100, scope: 'operation' },
    { id: 'f account', ceiling: 100 },
  ];
  for (const limit of limits) await limitAt(db, account, now, limit);
  const ids = { apiKey: 'ann', operation: 'search', run: 'of ann' };
  const spent = { key: 'call', amount: 10, ...ids };
  const { transaction_id } = await deductAt(db, account, now, spent);
  await deductAt(db, account, now, { key: 'other', amount: 2, apiKey: 'bob', run: 'of bob' });
  const { hold_id } = await holdAt(db, account, now, { key: 'hold', amount: 5, ...ids });
  const before = await counters(db, account);

  await forget(account);
  expect(await counters(db, account)).toEqual(before);
  expect(
    await db.query(
      `select limit_id, scope_id from credits_private.limits
       where account_id = $1 and scope_id is not null order by limit_id`,
      [account],
    ),
  ).toEqual([
    { limit_id: 'b one key', scope_id: 'ann' },
    { limit_id: 'c unused key', scope_id: 'eve' },
  ]);
  expect(await discrepancies(db, account)).toEqual([]);

  // What was begun goes on, and counts where it counted.
  const capture = (key: string, amount: number) =>
    captureAt(db, account, now, { key, hold: hold_id, amount });
  await expectPassed(capture('too much', 11), account, limits[3] as Limit, {
    spent: 10,
    remaining: 10,
    requested: 11,
    scope_id: 'of ann',
  });
  await capture('capture', 7);
  await refundAt(db, account, now, { key: 'refund', transaction: transaction_id, amount: 4 });
  expect(await counters(db, account)).toEqual([
    ['a each key', '2024-05-10', 'ann', 13],
    ['a each key', '2024-05-10', 'bob', 2],
    ['b one key', '2024-05-01', 'ann', 13],
    ['d each run', '-infinity', 'of ann', 13],
    ['d each run', '-infinity', 'of bob', 2],
    ['e operation', '2024-05-01', '', 2], // of a call that names none
    ['e operation', '2024-05-01', 'search', 13],
    ['f account', '2024-05-01', '', 15],
  ]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a limit stops a key that has spent its ceiling, and a blocked one, also after its person was forgotten', async () => {
  const account = 'stopped';
  await openAt(db, account, now);
  const block: Limit = { id: 'block leaked', ceiling: 0, scope: 'api_key', scopeId: 'leaked' };
  const each: Limit = { id: 'each key', ceiling: 100, scope: 'api_key' };
  for (const limit of [block, each]) await limitAt(db, account, now, limit);
  const deduct = (key: string, amount: number, apiKey: string) =>
    deductAt(db, account, now, { key, amount, apiKey });
  await deduct('all', 100, 'key_1');
  for (const round of [1, 2]) {
    await forget(account);
    const spent = { spent: each.ceiling, remaining: 0, requested: 1, scope_id: 'key_1' };
    await expectPassed(deduct(`over ${round}`, 1, 'key_1'), account, each, spent);
    const none = { spent: 0, remaining: 0, requested: 1, scope_id: 'leaked' };
    await expectPassed(deduct(`leaked ${round}`, 1, 'leaked'), account, block, none);
    each.ceiling += 1;
    await limitAt(db, account, now, each);
    await deduct(`one more ${round}`, 1, 'key_1');
    expect(await discrepancies(db, account)).toEqual([]);
  }
});

test("forgetting a person twice is forgetting once, and a limit's count of an API key survives it", async () => {
  const account = 'twice';
  await openAt(db, account, now);
  await limitAt(db, account, now, { id: 'run', ceiling: 20, scope: 'run' });
  const deduct = (key: string, amount: number) =>
    deductAt(db, account, now, { key, amount, run: 'r' });
  await deduct('first', 10);
  await forget(account);
  const once = await counters(db, account);
  await forget(account);
  expect(await counters(db, account)).toEqual(once);
  const { transaction_id } = await deduct('second', 3);
  await forget(account);
  expect(await counters(db, account)).toEqual([['run', '2024-05-01', 'r', 13]]);
  await refundAt(db, account, now, { key: 'refund', transaction: transaction_id });
  expect(await counters(db, account)).toEqual([['run', '2024-05-01', 'r', 10]]);
  // A limit that is set now knows pseudonyms only.
  await limitAt(db, account, now, { id: 'same', ceiling: 20, scope: 'run' });
  expect((await counters(db, account)).slice(1).map((row) => row.slice(1))).toEqual([
    ['2024-05-01', 'forgotten run 1', 10],
    ['2024-05-01', 'forgotten run 2', 0],
  ]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('what a limit counted in windows that are over is forgotten', async () => {
  const account = 'over';
  await openAt(db, account, now);
  await limitAt(db, account, now, { id: 'run', ceiling: 20, scope: 'run', window: 'day' });
  await deductAt(db, account, now, { key: 'old', amount: 4, run: 'r' });
  await deductAt(db, account, now + DAY, { key: 'new', amount: 5, run: 's' });
  await forget(account, now + DAY);
  expect(await counters(db, account)).toEqual([
    ['run', '2024-05-10', 'forgotten run 1', 4],
    ['run', '2024-05-11', 's', 5],
  ]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('removing a limit forgets the ids that it kept, and so does forgetting a closed account that holds nothing', async () => {
  for (const account of ['removed', 'closed']) {
    await openAt(db, account, now);
    await limitAt(db, account, now, { id: 'run', ceiling: 20, scope: 'run' });
    await deductAt(db, account, now, { key: 'first', amount: 4, run: 'of ada' });
    await forget(account);
    const name = account === 'removed' ? 'remove_limit_at($1, $2, $3)' : 'close_account_at($1, $3)';
    const text = `select credits_private.${name} from (select $2::text) as x`;
    await db.query(text, [account, 'run', moment(now)]);
    await forget(account);
    const kept = 'select limit_id from credits_private.limits where account_id = $1';
    expect(await db.query(kept, [account])).toEqual([]);
    expect(await counters(db, account)).toEqual([]);
    expect(await discrepancies(db, account)).toEqual([]);
  }
});
