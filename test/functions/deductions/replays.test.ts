import { beforeEach, describe, expect, test } from 'vitest';
import { type Arguments, call, callAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';

const db = useDatabase();

let account: string;
const on = (name: string, args: Arguments) => call(db, name, { p_account_id: account, ...args });

/** The first answer, then the same call's again: equal but for `replayed`, and nothing changed. */
async function expectReplay(name: string, first: Arguments, again: Arguments = first) {
  const answer = await on(name, first);
  expect(answer.replayed).toBe(false);
  const before = await everything(db);
  expect(await on(name, again)).toEqual({ ...answer, replayed: true });
  expect(await everything(db)).toBe(before);
  return answer;
}

beforeEach(async () => {
  account = unique('account');
  await on('grant_credits', { p_amount: 1000, p_idempotency_key: 'grant' });
});

test('a deduction is answered again though the balance would no longer allow it', async () => {
  const args = { p_amount: 8, p_idempotency_key: 'deduct' };
  const answer = await expectReplay('deduct_credits', args);
  await on('deduct_credits', { p_amount: 992, p_idempotency_key: 'the rest' });
  expect(await on('deduct_credits', args)).toEqual({ ...answer, replayed: true });
  expect(await on('grant_credits', { p_amount: 1000, p_idempotency_key: 'grant' })).toMatchObject({
    grant_id: 1,
    transaction_id: 1,
    balance: 1000,
    replayed: true,
  });
});

test('a refund is answered again though nothing is left to refund', async () => {
  const deduct = { p_amount: 8, p_idempotency_key: unique() };
  const { transaction_id } = await on('deduct_credits', deduct);
  const refund = { p_transaction_id: transaction_id, p_idempotency_key: unique() };
  await expectReplay('refund_credits', refund);
  const other = { p_transaction_id: transaction_id, p_idempotency_key: unique() };
  expect(await raised(on('refund_credits', other))).toMatchObject({ code: 'PT409' });
  expect(await on('refund_credits', refund)).toMatchObject({ amount: 8, replayed: true });
});

test('a call is answered again after its grant has expired, and that settles nothing', async () => {
  const old = { p_account_id: unique('account'), p_amount: 10 };
  const at = (name: string, time: string, args: Arguments) =>
    callAt(db, name, time, { ...old, ...args });
  const grant = { p_idempotency_key: 'grant', p_expires_at: '2024-02-01Z' };
  await at('grant_credits', '2024-01-01Z', grant);
  const deduct = { p_amount: 4, p_idempotency_key: 'deduct' };
  const answer = await at('deduct_credits', '2024-01-02Z', deduct);
  const before = await everything(db);
  expect(await call(db, 'deduct_credits', { ...old, ...deduct })).toEqual({
    ...answer,
    replayed: true,
  });
  // p_expires_at lies in the past by now, which refuses a new grant, but not this replay.
  expect(await call(db, 'grant_credits', { ...old, ...grant })).toMatchObject({ replayed: true });
  expect(await everything(db)).toBe(before);
  await call(db, 'settle_account', { p_account_id: old.p_account_id });
  expect(await call(db, 'deduct_credits', { ...old, ...deduct })).toMatchObject({ balance: 6 });
});

test('a replay with other metadata is the same request, and the first metadata stays', async () => {
  const base = { p_amount: 1, p_idempotency_key: unique() };
  await expectReplay(
    'deduct_credits',
    { ...base, p_metadata: { try: 1 } },
    { ...base, p_metadata: { try: 2 } },
  );
  const rows = await db.query(
    'select metadata from credits.transactions where account_id = $1 and idempotency_key = $2',
    [account, base.p_idempotency_key],
  );
  expect(rows).toEqual([{ metadata: { try: 1 } }]);
});

test('the order in which operations are listed makes no other request', async () => {
  const base = { p_amount: 1, p_idempotency_key: unique() };
  await expectReplay(
    'grant_credits',
    { ...base, p_operations: ['b', 'a', 'b'] },
    { ...base, p_operations: ['a', 'b'] },
  );
});

test('a default that is written out makes no other request', async () => {
  const grant = { p_amount: 1, p_idempotency_key: unique() };
  const defaults = {
    p_source: 'purchase',
    p_priority: 100,
    p_expires_at: null,
    p_operations: null,
  };
  await expectReplay('grant_credits', grant, { ...grant, ...defaults, p_metadata: {} });
  const deduct = { p_amount: 1, p_idempotency_key: unique() };
  await expectReplay('deduct_credits', { ...deduct, p_api_key_id: null, p_run_id: null }, deduct);
});

const expiry = (at: string) => ({ p_expires_at: at });
test('a replay may write the same moment in another zone', async () => {
  const base = { p_amount: 1, p_idempotency_key: unique() };
  const [first, again] = [expiry('2999-01-01 00:00Z'), expiry('2999-01-01 05:30+05:30')];
  await expectReplay('grant_credits', { ...base, ...first }, { ...base, ...again });
});

describe('another value is another request', () => {
  const base = { p_amount: 1 };
  const differing: [string, string, Arguments, Arguments][] = [
    ['deduct_credits', 'amount', {}, { p_amount: 2 }],
    ['deduct_credits', 'API key', { p_api_key_id: 'x' }, { p_operation: 'x' }],
    ['deduct_credits', 'operation', { p_operation: 'x' }, { p_run_id: 'x' }],
    ['deduct_credits', 'run', {}, { p_run_id: 'x' }],
    ['grant_credits', 'source', {}, { p_source: 'plan' }],
    ['grant_credits', 'priority', {}, { p_priority: 99 }],
    ['grant_credits', 'scope', { p_operations: ['a,b'] }, { p_operations: ['a', 'b'] }],
    ['grant_credits', 'expiry', expiry('2999-01-01Z'), expiry('2999-01-01 00:00:00.000001Z')],
    ['grant_credits', 'effect', {}, { p_effective_at: '2024-01-01Z' }],
    [
      'grant_credits',
      'payment',
      { p_paid_amount: 1, p_paid_currency: 'EUR' },
      { p_paid_amount: 1, p_paid_currency: 'USD' },
    ],
  ];
  test.each(differing)('%s: %s', async (name, _, first, other) => {
    const key = { p_idempotency_key: unique() };
    await on(name, { ...base, ...key, ...first });
    const error = await raised(on(name, { ...base, ...key, ...other }));
    expect(error).toMatchObject({ code: 'PT409', constraint: 'a_request_takes_effect_once' });
  });

  test('refund_credits with another transaction, or an amount where there was none, is another request', async () => {
    const deduct = { p_amount: 5, p_idempotency_key: unique() };
    const { transaction_id } = await on('deduct_credits', deduct);
    const refund = { p_transaction_id: transaction_id, p_idempotency_key: unique() };
    await on('refund_credits', { ...refund, p_amount: 5 });
    for (const other of [{ p_amount: 4 }, { p_transaction_id: 1, p_amount: 5 }, {}]) {
      const error = await raised(on('refund_credits', { ...refund, ...other }));
      expect(error.code).toBe('PT409');
    }
    expect(await discrepancies(db)).toEqual([]);
  });
});
