import { beforeAll, describe, expect, test } from 'vitest';
import { deductAt, limitAt } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findings, tamper } from '../support/discrepancies.ts';
import { insertEntry } from '../support/ledger.ts';
import { windowOf, writeLimitHistory } from '../support/limit-history.ts';
import { us } from '../support/time.ts';

const db = useDatabase();

test('no deduction of any history goes beyond a limit that was set before it', async () => {
  // Only deductions after the last change of the final limits count here.
  let looked = 0;
  const accounts = await Promise.all(
    [11, 12, 13, 14].map(async (seed) => {
      const { refusals } = await writeLimitHistory(db, `history ${seed}`, seed);
      expect(refusals).toBeGreaterThan(0);
      return `history ${seed}`;
    }),
  );
  for (const account of accounts) {
    const limits = await db.query('select * from credits_private.limits where account_id = $1', [
      account,
    ]);
    const entries = await db.query(
      `select e.*, coalesce(o.effective_at, e.effective_at) as spent_at
       from credits_private.entries as e
       left join credits_private.entries as o
         on o.account_id = e.account_id and o.entry_id = e.refunded_entry_id
       where e.account_id = $1 and e.kind in ('deduction', 'capture', 'refund')
       order by e.entry_id`,
      [account],
    );
    for (const limit of limits) {
      const spent: Record<string, number> = {};
      for (const entry of entries) {
        const id = { account: '', api_key: entry.api_key_id, operation: entry.operation };
        const one = { ...id, run: entry.run_id }[limit.scope as keyof typeof id] ?? '';
        if ((limit.scope_id ?? one) !== one) continue;
        const window = windowOf(limit.limit_window, entry.spent_at.getTime() * 1000);
        const sum = (spent[`${window} ${one}`] ?? 0) - entry.amount;
        spent[`${window} ${one}`] = sum;
        if (entry.kind !== 'deduction' || entry.entry_id <= limit.set_entry_id) continue;
        expect(sum).toBeLessThanOrEqual(limit.ceiling + limit.overage);
        looked += 1;
      }
    }
  }
  expect(looked).toBeGreaterThan(20);
  expect(await discrepancies(db)).toEqual([]);
});

describe('the owner cannot write an entry that passes a limit', () => {
  beforeAll(async () => {
    await db.query(`select credits.grant_credits('acme', 100, 'grant')`);
    await db.query(`select credits.open_account('acme', p_overdraft_limit => 100)`);
    await db.query(`select credits.set_limit('acme', 'all', 50, p_window => 'total')`);
    await db.query(`select credits.deduct_credits('acme', 41, 'call')`);
    await db.query(`select credits.set_limit('acme', 'run', 5, 'run', p_overage => 2)`);
  });

  const keyless = [
    'a_request_takes_effect_once',
    expect.stringMatching(/^key/),
    expect.anything(),
    expect.anything(),
  ];
  test.each([
    ['more than is left', { amount: -10 }],
    ['the first of a run', { amount: -8, run_id: 'new' }],
    ['drawn from the overdraft', { amount: -10, grant_id: null }],
  ])('%s', async (_, changes) => {
    expect(await raised(insertEntry(db, 'acme', changes))).toMatchObject({
      code: '23514',
      constraint: 'limits_are_never_passed',
      detail: { account_id: 'acme', entry_id: 3, invariant: 'limits_are_never_passed' },
    });
    expect(await discrepancies(db, 'acme')).toEqual([]);
  });

  test('and can write one that fills it', async () => {
    await insertEntry(db, 'acme', { amount: -7, run_id: 'new' });
    const { spent } = await db.one(
      `select spent from credits.limits where account_id = 'acme' and scope_id = 'new'`,
    );
    expect(spent).toBe(7);
    // This deduction has no key, because no call made it.
    expect((await discrepancies(db, 'acme')).map(({ finding }) => finding)).toEqual([keyless]);
  });
});

test('a ceiling that was lowered by hand below what has been spent is found', async () => {
  const found = await findings(async (sample) => {
    const now = us('2024-03-02T00:00:00Z');
    for (const account of ['broken', 'healthy']) {
      await limitAt(sample, account, now, { id: 'run', ceiling: 20, overage: 5, scope: 'run' });
      await deductAt(sample, account, now, { key: 'run', amount: 22, run: 'r' });
      await deductAt(sample, account, now, { key: 'more', amount: 3, run: 'r' });
    }
    const update = `update credits_private.limits set ceiling = 17 where account_id = 'broken'`;
    await tamper(sample, 'limits', update);
  });
  expect(found).toEqual([['limits_are_never_passed', 'limit run, entry 10', 'at most 22', '25']]);
});

test('a deduction that was written past a limit is found', async () => {
  const found = await findings(async (sample) => {
    const now = us('2024-03-02T00:00:00Z');
    await limitAt(sample, 'broken', now, { id: 'day', ceiling: 5, window: 'day' });
    const update = `update credits_private.accounts set has_limits`;
    await tamper(sample, 'accounts', `${update} = false where account_id = 'broken'`);
    await deductAt(sample, 'broken', now, { key: 'behind', amount: 7 });
    await tamper(sample, 'accounts', `${update} = true where account_id = 'broken'`);
    await tamper(
      sample,
      'limit_counters',
      `insert into credits_private.limit_counters values ('broken', 'day', '2024-03-02', '', 7, 9)`,
    );
  });
  expect(found).toEqual([['limits_are_never_passed', 'limit day, entry 9', 'at most 5', '7']]);
});
