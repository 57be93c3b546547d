import { expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findings, tamper } from '../support/discrepancies.ts';
import { writeHistory } from '../support/history.ts';
import { balanceOf, insertEntry } from '../support/ledger.ts';

const db = useDatabase();

test('after any history, neither what is available nor a grant was ever below zero', async () => {
  await Promise.all([81, 82, 83].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const { lowest, available } = await db.one(
    `select min(sum)::bigint as lowest, (select min(available) from credits.remaining) as available
     from (select sum(amount) over (partition by account_id, grant_id order by entry_id)
       from credits.entries where grant_id is not null) as running`,
  );
  expect(lowest).toBeGreaterThanOrEqual(0);
  expect(available).toBeGreaterThanOrEqual(0);
  expect(await discrepancies(db)).toEqual([]);
});

test('of many callers at once, as many succeed as there are credits', async () => {
  await db.query(`select credits.grant_credits('busy', 10, 'a', p_operations => '{search}'),
    credits.grant_credits('busy', 20, 'b')`);
  const call = (n: number) =>
    db.query(`select credits.deduct_credits('busy', 3, $1, p_operation => 'search')`, [`${n}`]);
  const calls = await Promise.allSettled(Array.from({ length: 15 }, (_, n) => call(n)));
  const refused = calls.filter((result) => result.status === 'rejected');
  expect(refused.map(({ reason }) => reason.code)).toEqual(Array(5).fill('PT402'));
  expect(await balanceOf(db, 'busy')).toBe(0);
});

test('a deduction of more than is available is refused, and says how much there is', async () => {
  await db.query(`select credits.grant_credits('poor', 4, 'grant')`);
  const call = `select credits.deduct_credits('poor', 5, 'call', p_operation => 'search')`;
  expect(await raised(db.query(call))).toMatchObject({
    code: 'PT402',
    constraint: 'available_is_never_negative',
    detail: {
      account_id: 'poor',
      requested: 5,
      available: 4,
      operation: 'search',
      invariant: 'available_is_never_negative',
    },
    hint: expect.any(String),
  });
  expect(await balanceOf(db, 'poor')).toBe(4);
  await db.query(`select credits.grant_credits('poor', 1, 'grant 2')`);
  await db.query(call); // the refused call kept nothing, not even its key
  expect(await balanceOf(db, 'poor')).toBe(0);
});

test('an entry that leaves less than nothing is refused, to the owner too', async () => {
  await db.query(`select credits.grant_credits('zero', 5, 'grant')`);
  const error = await raised(insertEntry(db, 'zero', { amount: -6 }));
  expect(error).toMatchObject({ code: '23514', constraint: 'available_is_never_negative' });
  const update = `update credits_private.accounts set balance = -1 where account_id = 'zero'`;
  expect(await raised(db.query(update))).toMatchObject({
    code: '23514',
    constraint: 'available_is_never_negative',
  });
});

test('an entry that takes an account further into debt than its overdraft is refused', async () => {
  await db.query(`select credits.grant_credits('owing', 5, 'grant')`);
  await db.query(`select credits.set_overdraft_limit('owing', 10)`);
  await db.query(`select credits.hold_credits('owing', 8, 'hold')`);
  await insertEntry(db, 'owing', { grant_id: null, amount: -7, idempotency_key: 'hold' });
  const error = await raised(insertEntry(db, 'owing', { grant_id: null, amount: -1 }));
  expect(error).toMatchObject({ code: '23514', constraint: 'available_is_never_negative' });
});

test('a balance below what is held and owed is found', async () => {
  const found = await findings(async (broken) => {
    await broken.query(
      'alter table credits_private.accounts drop constraint available_is_never_negative',
    );
    const change = `update credits_private.accounts set balance = -1 where account_id = 'broken'`;
    await tamper(broken, 'accounts', change);
  });
  expect(found).toEqual([
    ['available_is_never_negative', 'free credit', '0 or more', '-1'],
    ['balance_equals_grants_less_debt', 'balance', '95', '-1'],
    ['balance_equals_ledger', 'balance', '95', '-1'],
  ]);
});

test('a grant below zero is found', async () => {
  const found = await findings(async (broken) => {
    await broken.query(
      'alter table credits_private.grants drop constraint a_grant_is_never_overdrawn',
    );
    const change = `update credits_private.grants set remaining = -1
      where account_id = 'broken' and grant_id = 2`;
    await tamper(broken, 'grants', change);
  });
  expect(found).toEqual([
    ['available_is_never_negative', 'grant 2', '0 or more', '-1'],
    ['balance_equals_grants_less_debt', 'balance', '94', '95'],
    ['grants_equal_ledger', 'grant 2', '0', '-1'],
  ]);
});
