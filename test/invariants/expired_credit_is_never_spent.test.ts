import { expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import {
  balanceOf,
  DAY,
  deductAt,
  discrepancies,
  findings,
  grantAt,
  insertEntry,
  refundAt,
  tamper,
  us,
  writeHistory,
} from '../support/ledger.ts';

const db = useDatabase();
const start = us('2024-02-10T00:00:00Z');
const expires = us('2024-02-20T12:00:00Z');

/** 10 credits that expire, and 5 that do not. */
async function grantBoth(account: string): Promise<void> {
  await grantAt(db, account, start, { key: 'expiring', amount: 10, expires });
  await grantAt(db, account, start, { key: 'lasting', amount: 5 });
}

test('after any history, nothing was drawn from or added to an expired grant', async () => {
  await Promise.all([1, 2, 3, 4].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const { expiries, late } = await db.one(
    `select count(*) filter (where e.kind = 'expiry') as expiries,
       count(*) filter (where e.kind <> 'expiry' and e.effective_at >= g.expires_at) as late
     from credits.entries as e
     join credits.grants as g using (account_id, grant_id)`,
  );
  expect(expiries).toBeGreaterThan(10);
  expect(late).toBe(0);
  expect(await discrepancies(db)).toEqual([]);
});

test('a grant can be drawn on until one microsecond before it expires', async () => {
  await grantBoth('before');
  const call = { key: 'call', amount: 15 };
  expect(await deductAt(db, 'before', expires - 1, call)).toMatchObject({ balance: 0 });
});

test('an expired grant cannot be drawn on, at the very instant of its expiry', async () => {
  await grantBoth('instant');
  expect(await raised(deductAt(db, 'instant', expires, { key: '6', amount: 6 }))).toMatchObject({
    code: 'PT402',
    detail: { requested: 6, available: 5 },
  });
  expect(await deductAt(db, 'instant', expires, { key: '5', amount: 5 })).toMatchObject({
    balance: 0,
    available: 0,
  });
  const entries = await db.query(
    `select kind, grant_id, amount, effective_at = $1 as at_expiry from credits.entries
     where account_id = 'instant' and entry_id > 2 order by entry_id`,
    [new Date(expires / 1000)],
  );
  expect(entries).toEqual([
    { kind: 'expiry', grant_id: 1, amount: -10, at_expiry: true },
    { kind: 'deduction', grant_id: 2, amount: -5, at_expiry: true },
  ]);
});

test('what was not spent when a grant expires is all that expires', async () => {
  await grantBoth('rest');
  await deductAt(db, 'rest', start, { key: 'call', amount: 7 });
  await grantAt(db, 'rest', expires + DAY, { key: 'later', amount: 1 });
  expect(await balanceOf(db, 'rest')).toBe(6);
});

test('a refund to an expired grant makes a new one, with its scope and for 30 days', async () => {
  const operations = ['search'];
  const grant = { key: 'grant', amount: 10, expires, priority: 7, operations };
  await grantAt(db, 'back', start, grant);
  await deductAt(db, 'back', start, { key: 'call', amount: 10, operation: 'search' });
  await refundAt(db, 'back', expires, { key: 'refund', transaction: 2, amount: 4 });
  const again = await db.one(
    `select source, priority, operations, amount, remaining, origin_grant_id,
       expires_at - effective_at = interval '720 hours' as for_30_days
     from credits_private.grants where account_id = 'back' and grant_id = 2`,
  );
  expect(again).toEqual({
    source: 'refund',
    priority: 7,
    operations,
    amount: 4,
    remaining: 4,
    origin_grant_id: 1,
    for_30_days: true,
  });
  await refundAt(db, 'back', expires, { key: 'more', transaction: 2, amount: 1 });
  const call = { key: 'late', amount: 1, operation: 'search' };
  const late = raised(deductAt(db, 'back', expires + 30 * DAY, call));
  expect(await late).toMatchObject({ code: 'PT402', detail: { available: 0 } });
});

test.each([
  ['draws on an expired grant', {}],
  ['refunds to an expired grant', { kind: 'refund', refunded_entry_id: 3, amount: 1 }],
  ['lets a grant expire before its time', { kind: 'expiry', grant_id: 2 }],
])('an entry that %s is refused, to the owner too', async (name, changes) => {
  await grantBoth(name);
  await deductAt(db, name, start, { key: 'call', amount: 7 });
  expect(await raised(insertEntry(db, name, changes))).toMatchObject({
    code: '23514',
    constraint: 'expired_credit_is_never_spent',
    detail: { account_id: name, entry_id: 4, invariant: 'expired_credit_is_never_spent' },
  });
  expect(await balanceOf(db, name)).toBe(8);
});

test('a deduction that was moved to the instant of its grant’s expiry is found', async () => {
  const found = await findings(async (broken) => {
    const march = us('2024-03-02T00:00:00Z');
    const expiring = { key: 'expiring', amount: 3, expires: march + DAY };
    await grantAt(broken, 'broken', march, expiring);
    await deductAt(broken, 'broken', march, { key: 'call', amount: 3 });
    await tamper(
      broken,
      'entries',
      `update credits_private.entries
       set effective_at = '2024-03-03Z', created_at = '2024-03-03Z'
       where account_id = 'broken' and entry_id = 10`,
    );
  });
  expect(found).toEqual([
    [
      'counters_change_only_with_the_ledger',
      'last_effective_at',
      '2024-03-03 00:00:00+00',
      '2024-03-02 00:00:00+00',
    ],
    [
      'expired_credit_is_never_spent',
      'entry 10',
      'before 2024-03-03 00:00:00+00',
      '2024-03-03 00:00:00+00',
    ],
  ]);
});
