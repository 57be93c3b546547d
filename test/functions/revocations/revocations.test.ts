import { expect, test } from 'vitest';
import { call, deductAt, grantAt, holdAt, revokeAt, settleAt } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, everything, figuresAt } from '../../support/ledger.ts';
import { DAY, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');

/** Grant 1 of 100, of which `spent` are, and 7 of another. */
async function granted(account: string, spent: number): Promise<void> {
  await grantAt(db, account, start, { key: 'pay_1', amount: 100, expires: start + 30 * DAY });
  await deductAt(db, account, start, { key: 'deduct', amount: spent });
  await grantAt(db, account, start, { key: 'other', amount: 7 });
}
const revoke = (account: string, revocation: Omit<Parameters<typeof revokeAt>[3], 'grant'>) =>
  revokeAt(db, account, start, { grant: 1, ...revocation });

test('a clamped revocation takes what is free of the grant, and never makes debt', async () => {
  await granted('clamp', 60);
  expect(await revoke('clamp', { key: 're_1' })).toEqual({
    grant_id: 1,
    transaction_id: 4,
    amount: 40,
    balance: 7,
    available: 7,
    replayed: false,
    outstanding: 60,
  });
  expect(await entriesOf(db, 'clamp', 4)).toEqual([['revocation', -40, 1]]);
  expect(
    await db.one(
      `select credits_granted, credits_used, credits_revoked, closing_balance from credits.invoice
       where account_id = 'clamp'`,
    ),
  ).toEqual({ credits_granted: 107, credits_used: 60, credits_revoked: 40, closing_balance: 7 });
  const grant = `select remaining, revoked, taken from credits.grants
    where account_id = 'clamp' and grant_id = 1`;
  expect(await db.one(grant)).toEqual({ remaining: 0, revoked: 100, taken: 40 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a revocation with debt books the rest at once, beyond any overdraft, and free credit repays it', async () => {
  await granted('debt', 60);
  expect(await revoke('debt', { key: 're_1', onSpent: 'debt' })).toEqual({
    grant_id: 1,
    transaction_id: 4,
    amount: 100,
    balance: -53,
    available: 0,
    replayed: false,
    outstanding: 0,
  });
  expect(await entriesOf(db, 'debt', 4)).toEqual([
    ['revocation', -40, 1],
    ['revocation', -60, null],
    ['repay', -7, 2],
    ['repay', 7, null],
  ]);
  expect(await figuresAt(db, 'debt', start)).toMatchObject({ available: 0, debt: 53 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a revocation in part takes its amount of what is free, and then of what is spent', async () => {
  await granted('part', 60);
  const answers = [
    await revoke('part', { key: 're_1', amount: 30 }),
    await revoke('part', { key: 're_2', amount: 30 }),
    await revoke('part', { key: 're_3', amount: 5, onSpent: 'debt' }),
  ];
  expect(answers.map(({ amount, outstanding }) => [amount, outstanding])).toEqual([
    [30, 0],
    [10, 20], // all that was free
    [25, 0], // also what the one before left to be taken
  ]);
  expect(await entriesOf(db, 'part', 4)).toEqual([
    ['revocation', -30, 1],
    ['revocation', -10, 1],
    ['revocation', -25, null],
    ['repay', -7, 2],
    ['repay', 7, null],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a refund and a dispute of one payment, each with a key of its own, take back once', async () => {
  for (const [account, first, then, taken] of [
    ['whole and whole', null, null, [40, 0]],
    ['part and whole', 30, null, [30, 10]],
    ['part and part', 30, 90, [30, 10]],
    ['part and all of it', 100, 100, [40, 0]],
  ] as const) {
    await granted(account, 60);
    const answers = [
      await revoke(account, { key: 're_1', amount: first }),
      await revoke(account, { key: 'dp_1', amount: then }),
    ];
    expect(answers.map(({ amount }) => amount)).toEqual(taken);
    expect(answers[1]).toMatchObject({ balance: 7, outstanding: 60 });
    const again = await revoke(account, { key: 'dp_2', onSpent: 'debt' });
    expect(again).toMatchObject({ amount: 60, balance: -53, outstanding: 0 });
    const last = await revoke(account, { key: 'dp_3', onSpent: 'debt' });
    expect(last).toMatchObject({ transaction_id: null, amount: 0, balance: -53 });
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('a repeated revocation is answered the same, also where nothing was taken', async () => {
  await granted('replayed', 100);
  for (const revocation of [
    { key: 're_1' },
    { key: 're_2', amount: 5, onSpent: 'debt' as const },
  ]) {
    const answer = await revoke('replayed', revocation);
    expect(answer.transaction_id === null).toBe(revocation.key === 're_1');
    const before = await everything(db);
    expect(await revoke('replayed', revocation)).toEqual({ ...answer, replayed: true });
    expect(await everything(db)).toBe(before);
  }
  for (const other of [
    { key: 're_1', amount: 5 },
    { key: 're_1', onSpent: 'debt' as const },
    { key: 'pay_1' },
  ]) {
    expect(await raised(revoke('replayed', other))).toMatchObject({
      code: 'PT409',
      constraint: 'a_request_takes_effect_once',
      detail: { account_id: 'replayed', idempotency_key: other.key },
    });
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('a revocation makes no debt of what has expired, and takes nothing in its place later', async () => {
  await granted('expired', 60);
  const late = start + 31 * DAY; // 40 of the grant have expired
  const revocation = { key: 're_1', grant: 1, onSpent: 'debt' as const };
  expect(await revokeAt(db, 'expired', late, revocation)).toMatchObject({
    amount: 60,
    balance: -53,
    outstanding: 0,
  });
  const clamp = await revokeAt(db, 'expired', late, { key: 're_2', grant: 1 });
  expect(clamp).toMatchObject({ amount: 0, outstanding: 0 });
  const refund = { p_account_id: 'expired', p_transaction_id: 2, p_idempotency_key: 'refund' };
  expect(await call(db, 'refund_credits', refund)).toMatchObject({
    amount: 60,
    balance: 7,
    available: 7,
    repaid: 53,
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('a revocation of a grant that has expired unused takes nothing, and nothing is owed', async () => {
  await grantAt(db, 'unused', start, { key: 'pay_1', amount: 100, expires: start + DAY });
  for (const onSpent of ['clamp', 'debt'] as const) {
    const revocation = { key: onSpent, grant: 1, onSpent };
    expect(await revokeAt(db, 'unused', start + DAY, revocation)).toMatchObject({
      transaction_id: null,
      amount: 0,
      balance: 0,
      outstanding: 0,
    });
  }
  expect(await entriesOf(db, 'unused', 2)).toEqual([['expiry', -100, 1]]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a revocation takes no credit from a hold: with debt it is owed until the hold ends', async () => {
  for (const [onSpent, amount, owed, late] of [
    ['clamp', 70, 0, ['revocation', -30, 1]],
    ['debt', 100, 30, ['repay', -30, 1]],
  ] as const) {
    const account = `held, ${onSpent}`;
    await grantAt(db, account, start, { key: 'pay_1', amount: 100 });
    await holdAt(db, account, start, { key: 'hold', amount: 30, expiresIn: '1 day' });
    const answer = await revoke(account, { key: 're_1', onSpent });
    expect(answer).toMatchObject({ amount, outstanding: 100 - amount, available: 0 });
    expect(await figuresAt(db, account, start)).toMatchObject({ held: 30, debt: owed });
    const released = { available: 0, scoped: 0, held: 0, debt: 0 };
    expect(await figuresAt(db, account, start + DAY)).toEqual(released);
    expect(await settleAt(db, account, start + DAY)).toMatchObject({ balance: 0, available: 0 });
    expect(await figuresAt(db, account, start + DAY)).toEqual(released);
    expect(await entriesOf(db, account)).toContainEqual(late);
  }
  expect(await discrepancies(db)).toEqual([]);
});
