import { beforeAll, expect, test } from 'vitest';
import { type Arguments, call, callAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { refusal } from '../../support/ledger.ts';

const db = useDatabase();

const key = { p_idempotency_key: 'new' };

beforeAll(async () => {
  for (const account of ['acme', 'other']) {
    const grant = { p_account_id: account, p_amount: 100, p_idempotency_key: 'grant' };
    await callAt(db, 'grant_credits', '2024-01-02Z', { ...grant, p_expires_at: '2024-02-01Z' });
    const deduct = { p_account_id: account, p_amount: 30, p_idempotency_key: 'deduct' };
    await callAt(db, 'deduct_credits', '2024-01-03Z', deduct);
    await callAt(db, 'settle_account', '2024-02-02Z', { p_account_id: account });
    const more = { p_account_id: account, p_amount: 5, p_idempotency_key: 'more' };
    await call(db, 'grant_credits', more); // 1 grant, 2 deduction, 3 expiry, 4 grant
    await call(db, 'refund_credits', {
      p_account_id: account,
      p_transaction_id: 2,
      p_amount: 10,
      p_idempotency_key: 'refund',
    });
  }
});

const on = (name: string, args: Arguments) => (account: string) =>
  call(db, name, { p_account_id: account, ...args });

test('PT402: a deduction of more than is available says how much is', async () => {
  const error = await refusal(
    db,
    on('deduct_credits', { ...key, p_amount: 16, p_operation: 'search' }),
  );
  expect(error).toMatchObject({ code: 'PT402', constraint: 'available_is_never_negative' });
  expect(error.detail).toEqual({
    account_id: 'acme',
    requested: 16,
    available: 15,
    operation: 'search',
    invariant: 'available_is_never_negative',
  });
  const larger = await refusal(db, on('deduct_credits', { ...key, p_amount: 1000 }));
  expect(larger.message).toBe(error.message);
  expect(larger.detail).toMatchObject({ requested: 1000, available: 15 });
});

const needsAccount: [string, Arguments][] = [
  ['deduct_credits', { ...key, p_amount: 1 }],
  ['refund_credits', { ...key, p_transaction_id: 2 }],
  ['settle_account', {}],
  ['available_for', {}],
  ['hold_credits', { ...key, p_amount: 1 }],
  ['capture_hold', { ...key, p_hold_id: 1, p_amount: 1 }],
  ['release_hold', { ...key, p_hold_id: 1 }],
  ['extend_hold', { p_hold_id: 1, p_expires_in: '1 hour' }],
  ['revoke_grant', { ...key, p_grant_id: 1 }],
  ['set_limit', { p_limit_id: 'limit', p_ceiling: 1 }],
  ['remove_limit', { p_limit_id: 'limit' }],
  ['set_overdraft_limit', { p_overdraft_limit: 1 }],
  ['close_account', {}],
  ['forget_account', {}],
  ['explain_balance', {}],
];
test.each(needsAccount)('PT404: %s for an account that nobody opened', async (name, args) => {
  const error = await refusal(db, (account) =>
    call(db, name, { p_account_id: `not ${account}`, ...args }),
  );
  expect(error).toMatchObject({ code: 'PT404', detail: { account_id: 'not acme' } });
});

test.each([99, 7])('PT404: a refund of transaction %i, which is none', async (id) => {
  // 7 would be the next: it exists neither.
  const error = await refusal(db, on('refund_credits', { ...key, p_transaction_id: id }));
  expect(error).toMatchObject({
    code: 'PT404',
    detail: { account_id: 'acme', transaction_id: id },
  });
});

test('PT404: a transaction of another account', async () => {
  const rich = { p_account_id: 'rich', p_amount: 9 };
  for (let i = 0; i < 9; i += 1) {
    await call(db, 'grant_credits', { ...rich, p_idempotency_key: `grant ${i}` });
  }
  const deduct = { ...rich, p_idempotency_key: 'deduct' };
  const { transaction_id } = await call(db, 'deduct_credits', deduct);
  const error = await refusal(
    db,
    on('refund_credits', { ...key, p_transaction_id: transaction_id }),
  );
  expect(error.code).toBe('PT404');
});

test.each([
  ['grant', 1],
  ['expiry', 3],
  ['refund', 5],
])('PT409: a refund of a transaction of kind %s', async (kind, id) => {
  const error = await refusal(
    db,
    on('refund_credits', { ...key, p_transaction_id: id, p_amount: 1 }),
  );
  expect(error).toMatchObject({ code: 'PT409', constraint: 'refunds_never_exceed_the_original' });
  expect(error.detail).toMatchObject({ account_id: 'acme', transaction_id: id, kind });
});

test('PT409: a refund of more than is left says how much is', async () => {
  const error = await refusal(
    db,
    on('refund_credits', { ...key, p_transaction_id: 2, p_amount: 21 }),
  );
  expect(error).toMatchObject({ code: 'PT409', constraint: 'refunds_never_exceed_the_original' });
  expect(error.detail).toEqual({
    account_id: 'acme',
    transaction_id: 2,
    requested: 21,
    refundable: 20,
    invariant: 'refunds_never_exceed_the_original',
  });
});

const reuses: [string, Arguments][] = [
  ['deduct_credits', { p_amount: 1, p_idempotency_key: 'deduct' }],
  ['grant_credits', { p_amount: 1, p_idempotency_key: 'deduct' }],
  ['refund_credits', { p_transaction_id: 2, p_idempotency_key: 'deduct' }],
  ['hold_credits', { p_amount: 30, p_idempotency_key: 'deduct' }],
  ['capture_hold', { p_hold_id: 1, p_amount: 30, p_idempotency_key: 'deduct' }],
  ['release_hold', { p_hold_id: 1, p_idempotency_key: 'deduct' }],
  ['revoke_grant', { p_grant_id: 1, p_idempotency_key: 'deduct' }],
];
test.each(reuses)('PT409: %s with a key that another call has used', async (name, args) => {
  const error = await refusal(db, on(name, args));
  expect(error).toMatchObject({ code: 'PT409', constraint: 'a_request_takes_effect_once' });
  expect(error.detail).toEqual({
    account_id: 'acme',
    idempotency_key: 'deduct',
    transaction_id: 2,
    function: 'deduct_credits',
    ...(name === 'deduct_credits' ? { differs: ['amount'] } : {}),
    invariant: 'a_request_takes_effect_once',
  });
});

test('PT409: another unit or scale after the first entry', async () => {
  for (const args of [{ p_unit: 'usd' }, { p_scale: 2 }, { p_unit: 'usd', p_anchor_day: 3 }]) {
    const error = await refusal(db, on('open_account', args));
    expect(error.code).toBe('PT409');
    expect(error.detail).toMatchObject({ account_id: 'acme', unit: 'credit', scale: 0 });
  }
});
