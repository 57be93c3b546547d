import { describe, expect, test } from 'vitest';
import { type Arguments, callAt, unique } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

const db = useDatabase();

/**
 * Makes these grants in turn and deducts all for `search`; returns the grants in the order of
 * drawing.
 */
async function drawn(grants: Arguments[]): Promise<number[]> {
  const account = { p_account_id: unique('account') };
  for (const [i, args] of grants.entries()) {
    const key = { p_idempotency_key: `grant ${i}` };
    const amount = { p_amount: 10 };
    await callAt(db, 'grant_credits', '2024-02-01Z', { ...account, ...amount, ...key, ...args });
  }
  await callAt(db, 'deduct_credits', '2024-02-02Z', {
    ...account,
    p_amount: 10 * grants.length,
    p_idempotency_key: 'deduct',
    p_operation: 'search',
  });
  const entries = await db.query(
    `select grant_id from credits.entries
     where account_id = $1 and kind = 'deduction' order by entry_id`,
    [account.p_account_id],
  );
  return entries.map((entry) => entry.grant_id);
}

/**
 * By one criterion each, a grant that comes first and one that comes after it; in order of weight.
 */
const criteria: [name: string, first: Arguments, last: Arguments][] = [
  ['a lower priority', { p_priority: 1 }, { p_priority: 2 }],
  ['a scope', { p_operations: ['search'] }, { p_operations: null }],
  ['an earlier expiry', { p_expires_at: '2024-03-01Z' }, { p_expires_at: '2024-03-02Z' }],
  ['not paid for', { p_source: 'promotion' }, { p_source: 'purchase' }],
  ['older', { p_effective_at: '2024-01-01Z' }, { p_effective_at: '2024-01-02Z' }],
];
const all = (pick: (criterion: (typeof criteria)[number]) => Arguments) =>
  Object.assign({}, ...criteria.map(pick)) as Arguments;

describe.each(criteria.map(([name, first, last], rank) => ({ name, first, last, rank })))(
  'a grant that has $name',
  ({ first, last, rank }) => {
    test('is drawn first if nothing else differs', async () => {
      expect(await drawn([last, first])).toEqual([2, 1]);
    });

    test('is drawn first even if every lesser criterion says otherwise', async () => {
      const better = { ...all(([, , l]) => l), ...all(([, f]) => f) };
      for (const [, f, l] of criteria.slice(rank + 1)) Object.assign(better, f, l);
      const worse = { ...all(([, f]) => f), ...last };
      for (const [, f] of criteria.slice(0, rank)) Object.assign(worse, f);
      expect(await drawn([worse, better])).toEqual([2, 1]);
    });
  },
);

test('of grants alike, the one with the lower number is drawn first', async () => {
  expect(await drawn([{}, {}, {}])).toEqual([1, 2, 3]);
});

test('a grant that never expires is drawn after any that does', async () => {
  expect(await drawn([{}, { p_expires_at: '9999-12-31Z' }])).toEqual([2, 1]);
});

test('every source but purchase counts as free, whatever it is called', async () => {
  const free = ['Purchase', 'plan', 'z'];
  expect(await drawn([{}, ...free.map((p_source) => ({ p_source })), {}])).toEqual([2, 3, 4, 1, 5]);
});

test('priorities are numbers: negative before zero, 9 before 10, 100 where none is given', async () => {
  const priorities = [10, 9, 0, -5, 101];
  expect(await drawn([{}, ...priorities.map((p_priority) => ({ p_priority }))])).toEqual([
    5, 4, 3, 2, 1, 6,
  ]);
});

test('eight grants that differ in everything are drawn in the one order', async () => {
  const grants: Arguments[] = [
    { p_priority: 200, p_operations: ['search'], p_expires_at: '2024-02-03Z' },
    {},
    { p_source: 'promotion' },
    { p_expires_at: '2024-05-01Z' },
    { p_expires_at: '2024-05-01Z', p_source: 'promotion' },
    { p_operations: ['search', 'other'] },
    { p_priority: 1 },
    { p_effective_at: '2023-12-01Z' },
  ];
  expect(await drawn(grants)).toEqual([7, 6, 5, 4, 3, 8, 2, 1]);
});

test('one deduction from several grants is one transaction with an entry for each', async () => {
  const account = { p_account_id: 'several' };
  for (const [i, p_amount] of [10, 20, 30].entries()) {
    const args = { ...account, p_amount, p_idempotency_key: `grant ${i}` };
    await callAt(db, 'grant_credits', '2024-02-01Z', args);
  }
  const answer = await callAt(db, 'deduct_credits', '2024-02-02Z', {
    ...account,
    p_amount: 45,
    p_idempotency_key: 'deduct',
    p_api_key_id: 'key',
    p_operation: 'search',
    p_run_id: 'run',
    p_metadata: { n: 1 },
  });
  expect(answer).toMatchObject({ transaction_id: 4, amount: 45, balance: 15, available: 15 });
  const same = { transaction_id: 4, api_key_id: 'key', operation: 'search', run_id: 'run' };
  expect(
    await db.query(
      `select entry_id, transaction_id, grant_id, amount, balance_after, api_key_id, operation,
              run_id
       from credits.entries where account_id = 'several' and kind = 'deduction' order by entry_id`,
    ),
  ).toEqual([
    { ...same, entry_id: 4, grant_id: 1, amount: -10, balance_after: 50 },
    { ...same, entry_id: 5, grant_id: 2, amount: -20, balance_after: 30 },
    { ...same, entry_id: 6, grant_id: 3, amount: -15, balance_after: 15 },
  ]);
  expect(
    await db.query(
      `select transaction_id, amount, balance_after, idempotency_key, metadata
       from credits.transactions where account_id = 'several' and kind = 'deduction'`,
    ),
  ).toEqual([
    {
      transaction_id: 4,
      amount: -45,
      balance_after: 15,
      idempotency_key: 'deduct',
      metadata: { n: 1 },
    },
  ]);
  expect(await discrepancies(db)).toEqual([]);
});
