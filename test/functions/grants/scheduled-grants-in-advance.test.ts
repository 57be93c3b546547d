import { expect, test } from 'vitest';
import {
  call,
  deductAt,
  type Grant,
  grantAt,
  refundAt,
  revokeAt,
  settleAt,
} from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');
const largest = Number.MAX_SAFE_INTEGER; // 2^53 - 1
const nothing = { available: 0, scoped: 0, held: 0, debt: 0 };

/** A grant of 20 that begins a day after the start. */
const schedule = (account: string, grant: Partial<Grant> = {}) =>
  grantAt(db, account, start, { key: 'grant', amount: 20, effective: start + DAY, ...grant });

test('scheduled grants count towards the largest balance, so that they can always be booked', async () => {
  await schedule('full', { amount: largest - 10 });
  await grantAt(db, 'full', start, { key: 'now', amount: 10 });
  const { transaction_id } = await deductAt(db, 'full', start, { key: 'deduct', amount: 10 });
  const more = { account_id: 'full', argument: 'p_amount', scheduled: largest - 10 };
  for (const effective of [null, start + DAY]) {
    const error = await raised(schedule('full', { key: 'more', amount: 11, effective }));
    expect(error).toMatchObject({ code: '22023', detail: { ...more, requested: 11, balance: 0 } });
  }
  await schedule('full', { key: 'just', amount: 10 });
  const refund = { key: 'refund', transaction: transaction_id };
  const refunded = await raised(refundAt(db, 'full', start, refund));
  expect(refunded).toMatchObject({ code: '22023', detail: { ...more, scheduled: largest } });
  expect(await settleAt(db, 'full', start + DAY)).toMatchObject({
    balance: largest,
    available: largest,
  });
  expect(await discrepancies(db)).toEqual([]);
});

test("a scheduled grant's state is scheduled, then active, spent or expired", async () => {
  const now = Date.now() * 1000;
  const [past, future] = [now - DAY, now + DAY];
  const grants: Partial<Grant>[] = [
    { effective: past },
    { effective: past, expires: now - 1 },
    { effective: future, expires: future + DAY },
    { effective: past, priority: 1, amount: 3 },
  ];
  for (const [n, grant] of grants.entries()) {
    await grantAt(db, 'state', past - DAY, { key: `${n}`, amount: 20, ...grant });
  }
  const states = async () =>
    (
      await db.query(
        `select state from credits.grants where account_id = 'state' order by grant_id`,
      )
    ).map(({ state }) => state);
  expect(await states()).toEqual(['active', 'expired', 'scheduled', 'active']);
  const deduct = { p_account_id: 'state', p_amount: 3, p_idempotency_key: 'spend' };
  expect(await call(db, 'deduct_credits', deduct)).toMatchObject({ balance: 20 });
  expect(await states()).toEqual(['active', 'expired', 'scheduled', 'spent']);
  await revokeAt(db, 'state', now, { key: 'cancel', grant: 3 });
  expect(await states()).toEqual(['active', 'expired', 'cancelled', 'spent']);
  expect(await discrepancies(db)).toEqual([]);
});

test('the part of a scheduled grant that is revoked before it begins never arrives', async () => {
  for (const onSpent of ['clamp', 'debt'] as const) {
    await schedule(onSpent);
    const revocation = { key: 're_1', grant: 1, amount: 15, onSpent };
    const answer = await revokeAt(db, onSpent, start, revocation);
    expect(answer).toMatchObject({ transaction_id: null, amount: 0, balance: 0, outstanding: 15 });
    expect(await revokeAt(db, onSpent, start, revocation)).toEqual({ ...answer, replayed: true });
    expect(await figuresAt(db, onSpent, start + DAY)).toEqual({ ...nothing, available: 5 });
    await settleAt(db, onSpent, start + DAY);
    expect(await entriesOf(db, onSpent)).toEqual([
      ['grant', 20, 1],
      ['revocation', -15, 1],
    ]);
    expect(await figuresAt(db, onSpent, start + DAY)).toEqual({ ...nothing, available: 5 });
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('a scheduled grant that is revoked whole before it begins is cancelled, and never arrives', async () => {
  await schedule('cancelled');
  await revokeAt(db, 'cancelled', start, { key: 're_1', grant: 1, amount: 15 });
  const rest = { key: 'dp_1', grant: 1, onSpent: 'debt' as const };
  expect(await revokeAt(db, 'cancelled', start, rest)).toMatchObject({
    transaction_id: null,
    amount: 0,
    balance: 0,
    outstanding: 0,
  });
  expect(await figuresAt(db, 'cancelled', start + DAY)).toEqual(nothing);
  expect(await settleAt(db, 'cancelled', start + DAY)).toMatchObject({ balance: 0, available: 0 });
  expect(await revokeAt(db, 'cancelled', start + DAY, { ...rest, key: 'dp_2' })).toMatchObject({
    amount: 0,
    balance: 0,
    outstanding: 0,
  });
  expect(await entriesOf(db, 'cancelled')).toEqual([]);
  expect(await discrepancies(db)).toEqual([]);
});
