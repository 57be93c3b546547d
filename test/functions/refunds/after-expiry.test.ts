import { beforeEach, expect, test } from 'vitest';
import { type Arguments, callAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

const db = useDatabase();

let account: string;
const at = (time: string, name: string, args: Arguments = {}) =>
  callAt(db, name, time, {
    p_account_id: account,
    ...(name === 'settle_account' ? {} : { p_idempotency_key: unique() }),
    ...args,
  });
const refund = (time: string, amount: number | null = null) =>
  at(time, 'refund_credits', { p_transaction_id: 3, p_amount: amount });

const grants = (from: number) =>
  db.query(
    `select grant_id, source, priority, operations, origin_grant_id, amount, remaining
     from credits_private.remainders where account_id = $1 and grant_id >= $2 order by grant_id`,
    [account, from],
  );

// Grant 1 expires at 10 February, grant 2 never. Transaction 3 has spent 10 of the first, 5 of the other.
beforeEach(async () => {
  account = unique('account');
  await at('2024-01-01Z', 'grant_credits', {
    p_amount: 10,
    p_expires_at: '2024-02-10Z',
    p_priority: 5,
    p_operations: ['search', 'embed'],
    p_paid_amount: 900,
    p_paid_currency: 'EUR',
  });
  await at('2024-01-01Z', 'grant_credits', { p_amount: 10, p_priority: 50 });
  await at('2024-01-02Z', 'deduct_credits', { p_amount: 15, p_operation: 'search' });
});

test('a refund to an expired grant makes a new one: same priority and scope, valid for 30 days', async () => {
  expect(await refund('2024-02-20 06:00Z')).toMatchObject({
    amount: 15,
    balance: 20,
    available: 10,
  });
  expect(await grants(3)).toMatchObject([
    {
      source: 'refund',
      priority: 5,
      operations: ['embed', 'search'],
      origin_grant_id: 1,
      amount: 10,
      remaining: 10,
    },
  ]);
  expect(
    await db.one(
      `select effective_at = '2024-02-20 06:00Z' as effective,
         expires_at = '2024-03-21 06:00Z' as expires, paid_amount
       from credits_private.grants where account_id = $1 and grant_id = 3`,
      [account],
    ),
  ).toEqual({ effective: true, expires: true, paid_amount: null });
  expect(await discrepancies(db)).toEqual([]);
});

test('on the invoice a refund to an expired grant is a refund, and not a grant', async () => {
  await refund('2024-02-20Z');
  expect(
    await db.one(
      `select credits_granted, credits_used, credits_refunded, credits_expired, closing_balance
       from credits.invoice where account_id = $1 and period = '2024-02-01'`,
      [account],
    ),
  ).toEqual({
    credits_granted: 0,
    credits_used: 0,
    credits_refunded: 15,
    credits_expired: 0,
    closing_balance: 20,
  });
});

test('the last microsecond of a grant still takes its refund, which expires with it', async () => {
  await refund('2024-02-09 23:59:59.999999Z');
  expect(await grants(3)).toEqual([]);
  expect(await at('2024-02-10Z', 'settle_account')).toMatchObject({ balance: 10, available: 10 });
  expect(await discrepancies(db)).toEqual([]);
});

test('at the very instant of its expiry a grant no longer takes its refund', async () => {
  await refund('2024-02-10Z');
  expect(await grants(3)).toMatchObject([{ source: 'refund', origin_grant_id: 1, remaining: 10 }]);
  expect(await discrepancies(db)).toEqual([]);
});

test('refunds in parts to an expired grant make a grant for each part', async () => {
  for (const amount of [7, 2, 6]) await refund('2024-02-20Z', amount);
  expect((await grants(3)).map((grant) => [grant.origin_grant_id, grant.amount])).toEqual([
    [1, 2],
    [1, 2],
    [1, 6],
  ]);
  const error = await raised(refund('2024-02-20Z', 1));
  expect(error).toMatchObject({ code: 'PT409', detail: { refundable: 0 } });
  expect(await discrepancies(db)).toEqual([]);
});

test('the grant that a refund makes is scoped as the expired one was, and expires in its turn', async () => {
  await refund('2024-02-20Z');
  const deduct = (time: string, operation: string) =>
    at(time, 'deduct_credits', { p_amount: 11, p_operation: operation });
  expect(await raised(deduct('2024-02-21Z', 'chat'))).toMatchObject({ code: 'PT402' });
  const { transaction_id, ...answer } = await deduct('2024-02-21Z', 'embed');
  expect(answer).toMatchObject({ balance: 9, available: 9 });
  await at('2024-02-22Z', 'refund_credits', { p_transaction_id: transaction_id });
  expect(await at('2024-03-22Z', 'settle_account')).toMatchObject({ balance: 10 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a refund to a grant that a refund made, after that has expired, makes another', async () => {
  await refund('2024-02-20Z');
  const args = { p_amount: 10, p_operation: 'embed' };
  const { transaction_id } = await at('2024-02-21Z', 'deduct_credits', args);
  await at('2024-04-01Z', 'refund_credits', { p_transaction_id: transaction_id });
  expect(await grants(4)).toMatchObject([
    // Its origin is what was granted, not the grant that the first refund made of it.
    { source: 'refund', priority: 5, origin_grant_id: 1, remaining: 10 },
  ]);
  expect(await discrepancies(db)).toEqual([]);
});
