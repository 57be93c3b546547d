import { expect, test } from 'vitest';
import { captureAt, deductAt, grantAt, holdAt, refundAt } from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findings, tamper } from '../support/discrepancies.ts';
import { writeHistory } from '../support/history.ts';
import { asOwner, balanceOf, entriesOf, insertEntry } from '../support/ledger.ts';
import { DAY, us } from '../support/time.ts';

const db = useDatabase();
const start = us('2024-02-10T00:00:00Z');
const expires = us('2024-02-20T12:00:00Z');
const march = us('2024-03-02T00:00:00Z');

/** 10 credits that expire, and 5 that do not. */
async function grantBoth(account: string): Promise<void> {
  await grantAt(db, account, start, { key: 'expiring', amount: 10, expires });
  await grantAt(db, account, start, { key: 'lasting', amount: 5 });
}

test('after any history, nothing was drawn from or added to an expired grant, but what was held', async () => {
  await Promise.all([1, 2, 3, 4].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const { expiries, late } = await db.one(
    `select count(*) filter (where e.kind = 'expiry') as expiries,
       count(*) filter (
         where e.kind not in ('expiry', 'capture', 'revocation') and e.effective_at >= g.expires_at
       ) as late
     from credits.entries as e
     join credits.grants as g using (account_id, grant_id)`,
  );
  expect(expiries).toBeGreaterThan(10);
  expect(late).toBe(0);
  const captures = await db.query(
    `select -sum(e.amount)::int as captured, (
         select sum(p.amount)::int from credits_private.hold_parts as p
         where p.account_id = e.account_id and p.hold_id = e.hold_id and p.grant_id = e.grant_id
           and p.effective_at < g.expires_at
       ) as held
     from credits.entries as e
     join credits.grants as g using (account_id, grant_id)
     where e.kind = 'capture' and e.effective_at >= g.expires_at
     group by e.account_id, e.hold_id, e.grant_id, g.expires_at`,
  );
  expect(captures.length).toBeGreaterThan(0);
  for (const { captured, held } of captures) expect(captured).toBeLessThanOrEqual(held);
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

test('what was held of a grant before its expiry can be captured, and not one credit more', async () => {
  await grantBoth('held');
  const hold = { key: 'hold', amount: 6, expiresIn: '20 days' };
  await holdAt(db, 'held', expires - 1, hold);
  const capture = (amount: number) =>
    captureAt(db, 'held', expires, { key: `${amount}`, hold: 1, amount });
  expect(await raised(capture(12))).toMatchObject({
    code: 'PT402',
    detail: { requested: 12, available: 11 }, // 6 that it holds, and 5 that last
  });
  expect(await capture(7)).toMatchObject({ balance: 4, available: 4 });
  expect(await entriesOf(db, 'held', 3)).toEqual([
    ['expiry', -4, 1],
    ['capture', -6, 1],
    ['capture', -1, 2],
  ]);
});

test('nothing of an expired grant can be held, at the very instant of its expiry', async () => {
  await grantBoth('unheld');
  const hold = raised(holdAt(db, 'unheld', expires, { key: '6', amount: 6 }));
  expect(await hold).toMatchObject({ code: 'PT402', detail: { requested: 6, available: 5 } });
  const now = { key: 'now', amount: 1, expires: us('2024-02-20T12:00:01Z') };
  await grantAt(db, 'unheld', expires, now);
  await holdAt(db, 'unheld', expires, { key: 'hold', amount: 5, expiresIn: '20 days' });
  // The owner reserves by hand from the grant, which has expired meanwhile.
  const part = asOwner(
    db,
    `insert into credits_private.hold_parts
     select (jsonb_populate_record(p, jsonb_build_object('part_id', a.last_part_id + 1,
       'grant_id', 3, 'amount', 1, 'effective_at', '2024-02-20T12:00:01Z', 'created_at',
       clock_timestamp()))).*
     from credits_private.hold_parts as p join credits_private.accounts as a using (account_id)
     where p.account_id = 'unheld' and p.part_id = 1`,
  );
  expect(await raised(part)).toMatchObject({
    code: '23514',
    constraint: 'expired_credit_is_never_spent',
    detail: { account_id: 'unheld', hold_id: 1, invariant: 'expired_credit_is_never_spent' },
  });
  expect(await discrepancies(db, 'unheld')).toEqual([]);
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
    expect.arrayContaining(['entries_never_run_back_in_time', 'deductions']),
    [
      'expired_credit_is_never_spent',
      'entry 10',
      'before 2024-03-03 00:00:00+00',
      '2024-03-03 00:00:00+00',
    ],
  ]);
});

test.each([
  // 2 of the 5 were held, and the rest was an excess.
  ['all of it', [5], 10, 'at most 2', '5'],
  // The 2 that were held had been captured in time.
  ['the excess', [2, 2], 11, 'at most 0', '2'],
])(
  'a capture of more than was held is found when it is moved to the expiry: %s',
  async (_, amounts, from, most, actual) => {
    const found = await findings(async (broken) => {
      const expiring = { key: 'expiring', amount: 9, priority: 1, expires: march + DAY };
      await grantAt(broken, 'broken', march, expiring);
      await holdAt(broken, 'broken', march, { key: 'hold', amount: 2, expiresIn: '3 days' });
      for (const [n, amount] of amounts.entries()) {
        const capture = { key: `capture ${n}`, hold: 1, amount, final: false };
        await captureAt(broken, 'broken', march + n, capture);
      }
      const late = `effective_at = '2024-03-03Z', created_at = '2024-03-03Z'`;
      const where = `where account_id = 'broken'`;
      const entries = `update credits_private.entries set ${late} ${where} and entry_id >= ${from}`;
      await tamper(broken, 'entries', entries);
      // What the capture released moves with it.
      const parts = `update credits_private.hold_parts set ${late} ${where} and amount < 0`;
      if (from === 10) await tamper(broken, 'hold_parts', parts);
    });
    expect(found.filter(([invariant]) => invariant === 'expired_credit_is_never_spent')).toEqual([
      ['expired_credit_is_never_spent', 'hold 1, grant 3', most, actual],
    ]);
  },
);
