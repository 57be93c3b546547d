import { expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  overdraftAt,
  refundAt,
  releaseAt,
  revokeAt,
  settleAt,
} from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');
const expiry = start + 30 * DAY;

/** Grant 1 of 100, of which transaction 2 spent 60. */
async function spent(account: string): Promise<void> {
  await grantAt(db, account, start, { key: 'pay_1', amount: 100, expires: expiry });
  await deductAt(db, account, start, { key: 'deduct', amount: 60, apiKey: 'key a' });
}
const grantOf = (account: string, id = 1) =>
  db.one(
    'select r.remaining, g.revoked, g.taken from credits_private.remainders as r join credits_private.grants as g using (account_id, grant_id) where account_id = $1 and grant_id = $2',
    [account, id],
  );

test('a clamped revocation takes at once what a refund brings back, up to the amount asked for', async () => {
  await spent('refund');
  await revokeAt(db, 'refund', start, { key: 're_1', grant: 1, amount: 75 }); // 40 now
  const part = { key: 'part', transaction: 2, amount: 20 };
  expect(await refundAt(db, 'refund', start, part)).toMatchObject({
    amount: 20,
    balance: 0,
    available: 0,
    repaid: 0,
  });
  const rest = { key: 'rest', transaction: 2 };
  expect(await refundAt(db, 'refund', start, rest)).toMatchObject({ amount: 40, available: 25 });
  expect(await entriesOf(db, 'refund', 4)).toEqual([
    ['refund', 20, 1],
    ['revocation', -20, 1],
    ['refund', 40, 1],
    ['revocation', -15, 1],
  ]);
  expect(await grantOf('refund')).toEqual({ remaining: 25, revoked: 75, taken: 75 });
  expect(
    await db.one(
      `select credits_used, credits_refunded, credits_revoked, closing_balance from credits.invoice
       where account_id = 'refund'`,
    ),
  ).toEqual({ credits_used: 60, credits_refunded: 60, credits_revoked: 75, closing_balance: 25 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a clamped revocation takes what a hold frees by a release, a capture of less or its expiry', async () => {
  for (const [account, end] of [
    ['released', () => releaseAt(db, 'released', start, { key: 'end', hold: 1 })],
    ['captured', () => captureAt(db, 'captured', start, { key: 'end', hold: 1, amount: 10 })],
    ['hold expired', () => settleAt(db, 'hold expired', start + DAY)],
  ] as const) {
    await grantAt(db, account, start, { key: 'pay_1', amount: 100, expires: expiry });
    await holdAt(db, account, start, { key: 'hold', amount: 60, expiresIn: '1 day' });
    const answer = await revokeAt(db, account, start, { key: 're_1', grant: 1 });
    expect(answer).toMatchObject({ amount: 40, outstanding: 60 });
    expect(await figuresAt(db, account, start + DAY)).toMatchObject({ available: 0, held: 0 });
    expect(await end()).toMatchObject({ balance: 0, available: 0 });
    const captured = account === 'captured' ? 10 : 0;
    expect(await grantOf(account)).toEqual({ remaining: 0, revoked: 100, taken: 100 - captured });
    expect((await entriesOf(db, account)).at(-1)).toEqual(['revocation', captured - 60, 1]);
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('a clamped revocation takes freed credit of an expired grant up to the amount, and the rest expires', async () => {
  await grantAt(db, 'both', start, { key: 'pay_1', amount: 100, expires: start + DAY });
  await holdAt(db, 'both', start, { key: 'hold', amount: 60, expiresIn: '2 days' });
  await revokeAt(db, 'both', start, { key: 're_1', grant: 1, amount: 65 }); // 40 now, 25 to come
  await releaseAt(db, 'both', start + DAY, { key: 'release', hold: 1 });
  expect(await entriesOf(db, 'both', 2)).toEqual([
    ['revocation', -40, 1],
    ['revocation', -25, 1],
    ['expiry', -35, 1],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a clamped revocation takes what a refund brings back in a new grant, the old one having expired', async () => {
  await spent('re-grant');
  await revokeAt(db, 're-grant', start, { key: 're_1', grant: 1, amount: 70 }); // 40 now
  await refundAt(db, 're-grant', expiry, { key: 'refund', transaction: 2 });
  expect(await entriesOf(db, 're-grant', 4)).toEqual([
    ['refund', 60, 2],
    ['revocation', -30, 2],
  ]);
  expect(await grantOf('re-grant')).toEqual({ remaining: 0, revoked: 70, taken: 70 });
  expect(await grantOf('re-grant', 2)).toEqual({ remaining: 30, revoked: 0, taken: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a revocation of a grant, or of one that a refund made of it, reaches what is free of both', async () => {
  for (const grant of [1, 2, 3]) {
    const account = `reached by ${grant}`;
    await spent(account);
    await refundAt(db, account, expiry, { key: '1', transaction: 2, amount: 25 }); // grant 2
    await refundAt(db, account, expiry, { key: '2', transaction: 2, amount: 15 }); // grant 3
    const whole = await revokeAt(db, account, expiry, { key: 're_1', grant });
    // 40 of the grant have expired, 40 are back, and 20 are spent.
    expect(whole).toMatchObject({ grant_id: 1, amount: 40, balance: 0, outstanding: 20 });
    expect(await entriesOf(db, account, 6)).toEqual([
      ['revocation', -25, 2],
      ['revocation', -15, 3],
    ]);
    const revoked = `select distinct revoked_grant_id as id from credits.entries
      where account_id = $1 and kind = 'revocation'`;
    expect(await db.query(revoked, [account])).toEqual([{ id: 1 }]);
    const debt = { key: 're_2', grant, onSpent: 'debt' as const };
    expect(await revokeAt(db, account, expiry, debt)).toMatchObject({ amount: 20, balance: -20 });
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('what comes back after a revocation with debt repays the debt, and is not taken again', async () => {
  await spent('owed');
  await revokeAt(db, 'owed', start, { key: 're_1', grant: 1, onSpent: 'debt' });
  const refund = { key: 'refund', transaction: 2, amount: 50 };
  expect(await refundAt(db, 'owed', start, refund)).toMatchObject({ balance: -10, repaid: 50 });
  const rest = { key: 'rest', transaction: 2 };
  expect(await refundAt(db, 'owed', expiry, rest)).toMatchObject({ balance: 0, repaid: 10 });
  expect(await entriesOf(db, 'owed', 3)).toEqual([
    ['revocation', -40, 1],
    ['revocation', -60, null],
    ['refund', 50, 1],
    ['repay', -50, 1],
    ['repay', 50, null],
    ['refund', 10, 2],
    ['repay', -10, 2],
    ['repay', 10, null],
  ]);
  expect(await figuresAt(db, 'owed', expiry)).toMatchObject({ available: 0, debt: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('scoped credit that comes back after a revocation with debt is taken in place of the debt', async () => {
  const scope = { operations: ['search'] };
  await grantAt(db, 'scoped', start, { key: 'pay_1', amount: 100, ...scope });
  await deductAt(db, 'scoped', start, { key: 'deduct', amount: 70, operation: 'search' });
  await revokeAt(db, 'scoped', start, { key: 're_1', grant: 1, amount: 80, onSpent: 'debt' });
  const refund = { key: 'refund', transaction: 2 };
  expect(await refundAt(db, 'scoped', start, refund)).toMatchObject({ balance: 20, repaid: 50 });
  expect(await entriesOf(db, 'scoped', 3)).toEqual([
    ['revocation', -30, 1],
    ['revocation', -50, null],
    ['refund', 70, 1],
    ['revocation', 50, null],
    ['revocation', -50, 1],
  ]);
  expect(await figuresAt(db, 'scoped', start)).toMatchObject({ debt: 0, scoped: 20 });
  expect(await grantOf('scoped')).toEqual({ remaining: 20, revoked: 80, taken: 80 });
  // This settles what was owed for the grant; other debt does not concern it.
  await overdraftAt(db, 'scoped', start, 50);
  await deductAt(db, 'scoped', start, { key: 'other', amount: 10 });
  await deductAt(db, 'scoped', start, { key: 'more', amount: 20, operation: 'search' });
  const more = { key: 'more back', transaction: 9 };
  expect(await refundAt(db, 'scoped', start, more)).toMatchObject({ amount: 20, repaid: 0 });
  expect(await figuresAt(db, 'scoped', start)).toMatchObject({ debt: 10, scoped: 20 });
  expect(await discrepancies(db)).toEqual([]);
});

test("credit that a hold frees after its grant's expiry is taken in place of the revocation's debt", async () => {
  const late = expiry + DAY;
  for (const [account, end, balance] of [
    ['let go', () => releaseAt(db, 'let go', late, { key: 'end', hold: 1 }), 0],
    ['used', () => captureAt(db, 'used', late, { key: 'end', hold: 1, amount: 30 }), -30],
    ['late', () => settleAt(db, 'late', expiry + 2 * DAY), 0],
  ] as const) {
    await grantAt(db, account, start, { key: 'pay_1', amount: 100, expires: expiry });
    await holdAt(db, account, start, { key: 'hold', amount: 100, expiresIn: '32 days' });
    const debt = { key: 're_1', grant: 1, onSpent: 'debt' as const };
    expect(await revokeAt(db, account, start, debt)).toMatchObject({ amount: 100, balance: 0 });
    expect(await figuresAt(db, account, expiry + 2 * DAY)).toMatchObject({ debt: 0, held: 0 });
    expect(await end()).toMatchObject({ balance });
    expect((await entriesOf(db, account)).slice(-2)).toEqual([
      ['revocation', 100 + balance, null],
      ['revocation', -100 - balance, 1],
    ]);
    expect(await figuresAt(db, account, late)).toMatchObject({ debt: 0 - balance });
  }
  expect(await discrepancies(db)).toEqual([]);
});

test("what came back and repaid a revocation's debt is settled, and the rest expires beside other debt", async () => {
  await grantAt(db, 'paid', start, { key: 'pay_1', amount: 100, expires: expiry });
  await holdAt(db, 'paid', start, { key: 'hold', amount: 40, expiresIn: '31 days' });
  await deductAt(db, 'paid', start, { key: 'deduct', amount: 60 });
  await revokeAt(db, 'paid', start, { key: 're_1', grant: 1, amount: 60, onSpent: 'debt' });
  await refundAt(db, 'paid', start, { key: 'refund', transaction: 2 });
  await overdraftAt(db, 'paid', start, 30);
  await deductAt(db, 'paid', start, { key: 'other', amount: 30 });
  const late = expiry + 2 * DAY;
  expect(await figuresAt(db, 'paid', late)).toMatchObject({ debt: 30, held: 0 });
  await settleAt(db, 'paid', late);
  expect(await figuresAt(db, 'paid', late)).toMatchObject({ debt: 30, held: 0 });
  expect((await entriesOf(db, 'paid')).slice(-1)).toEqual([['expiry', -40, 1]]);
});

test('revoked credit that repaid debt comes back with a refund of that debt, and is taken then', async () => {
  await overdraftAt(db, await overdrawn('repaid'), start, 0);
  await grantAt(db, 'repaid', start, { key: 'pay_2', amount: 30 }); // repays 20
  expect(await revokeAt(db, 'repaid', start, { key: 're_2', grant: 2 })).toMatchObject({
    amount: 10,
    balance: 0,
    outstanding: 20,
  });
  const refund = { key: 'refund', transaction: 2 };
  expect(await refundAt(db, 'repaid', start, refund)).toMatchObject({ amount: 30, balance: 10 });
  expect((await entriesOf(db, 'repaid')).slice(-3)).toEqual([
    ['refund', 20, 2],
    ['refund', 10, 1],
    ['revocation', -20, 2],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

/** Transaction 2 drew 10 from a grant and 20 from the overdraft. */
async function overdrawn(account: string): Promise<string> {
  await grantAt(db, account, start, { key: 'pay_1', amount: 10 });
  await overdraftAt(db, account, start, 20);
  await deductAt(db, account, start, { key: 'deduct', amount: 30 });
  return account;
}

test("what a hold returns to a scoped grant repays a revocation's debt, and not what had come back before", async () => {
  const operations = ['search'];
  const search = { operation: 'search' };
  await grantAt(db, 'before', start, { key: 'pay_1', amount: 30, operations });
  await deductAt(db, 'before', start, { key: 'spent', amount: 30, ...search });
  await revokeAt(db, 'before', start, { key: 're_1', grant: 1, onSpent: 'debt' });
  await grantAt(db, 'before', start, { key: 'pay_2', amount: 30 }); // repays it all
  await refundAt(db, 'before', start, { key: 'back', transaction: 2, amount: 3 }); // credit as ever
  await holdAt(db, 'before', start, { key: 'hold', amount: 2, expiresIn: '1 hour', ...search });
  await overdraftAt(db, 'before', start, 20);
  await deductAt(db, 'before', start, { key: 'owed', amount: 4 });
  const end = start + DAY;
  const expected = { available: 18, scoped: 1, held: 0, debt: 2 };
  expect(await figuresAt(db, 'before', end)).toEqual(expected);
  await settleAt(db, 'before', end);
  expect(await figuresAt(db, 'before', end)).toEqual(expected);
  expect(await discrepancies(db, 'before')).toEqual([]);
});
