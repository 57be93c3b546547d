import { beforeEach, expect, test } from 'vitest';
import { type Arguments, batch, call, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';

const db = useDatabase();
const largest = Number.MAX_SAFE_INTEGER; // 2^53 - 1
const edges = ['9007199254740992', '9223372036854775807', '-9223372036854775808'];

let account: string;
beforeEach(() => {
  account = unique('account');
});

const on = (name: string, args: Arguments = {}) =>
  call(db, name, { p_account_id: account, ...args });
const keyed = (name: string, amount: number, args: Arguments = {}) =>
  on(name, { p_amount: amount, p_idempotency_key: unique(), ...args });
const remaining = () =>
  db.one(`select balance, held, debt, available from credits.remaining where account_id = $1`, [
    account,
  ]);

const bounded: [string, string, Arguments][] = [
  ['hold_credits', 'p_amount', { p_idempotency_key: 'new' }],
  ['capture_hold', 'p_amount', { p_hold_id: 1, p_idempotency_key: 'new' }],
  ['revoke_grant', 'p_amount', { p_grant_id: 1, p_idempotency_key: 'new' }],
  ['set_limit', 'p_ceiling', { p_limit_id: 'new' }],
  ['set_limit', 'p_overage', { p_limit_id: 'new', p_ceiling: 1 }],
  ['set_overdraft_limit', 'p_overdraft_limit', {}],
  ['open_account', 'p_overdraft_limit', {}],
];
test.each(bounded)('%s with a %s beyond bigint is refused, and loses nothing', async (...args) => {
  const [name, argument, valid] = args;
  await keyed('grant_credits', 100);
  await keyed('hold_credits', 10);
  const before = await everything(db);
  const beyond = raised(on(name, { ...valid, [argument]: '9223372036854775808' }));
  expect(await beyond).toMatchObject({ code: '22003' }); // Postgres itself refuses it
  expect(await everything(db)).toBe(before);
});

test('a batch refuses amounts at the edge of bigint, and books the others', async () => {
  await keyed('grant_credits', largest);
  const items = edges.map((amount, i) => `{"amount": ${amount}, "idempotency_key": "${i}"}`);
  const deductions = [...items, `{"amount": ${largest}, "idempotency_key": "all"}`]
    .map((item) => item.replace('{', `{"account_id": "${account}", `))
    .join(', ');
  const answers = await db.query(
    'select amount, balance, error_code from credits.deduct_credits_batch($1)',
    [`[${deductions}]`],
  );
  expect(answers).toEqual([
    ...edges.map(() => ({ amount: null, balance: null, error_code: '22023' })),
    { amount: largest, balance: 0, error_code: null },
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('2^53 - 1 credits can be held, captured, refunded and revoked, exactly', async () => {
  await keyed('grant_credits', largest);
  await on('set_limit', { p_limit_id: 'all', p_ceiling: largest });
  expect(await keyed('hold_credits', largest)).toMatchObject({ amount: largest, available: 0 });
  expect(await remaining()).toEqual({ balance: largest, held: largest, debt: 0, available: 0 });
  const part = { p_hold_id: 1, p_final: false };
  expect(await keyed('capture_hold', 1, part)).toMatchObject({ balance: largest - 1 });
  const rest = await keyed('capture_hold', largest - 1, { p_hold_id: 1 });
  expect(rest).toMatchObject({ balance: 0, amount: largest - 1, held: 0 });
  const refund = { p_transaction_id: rest.transaction_id, p_idempotency_key: 'refund' };
  expect(await on('refund_credits', refund)).toMatchObject({ balance: largest - 1 });
  const revoke = { p_grant_id: 1, p_idempotency_key: 'revoke' };
  expect(await on('revoke_grant', revoke)).toMatchObject({ amount: largest - 1, outstanding: 1 });
  expect(await discrepancies(db)).toEqual([]);
});

test('deductions, holds and batches take a balance down to -(2^53 - 1), and a grant repays that', async () => {
  await on('open_account', { p_overdraft_limit: largest });
  await keyed('hold_credits', 10);
  const deduction = { account_id: account, idempotency_key: 'all' };
  expect(await batch(db, [{ ...deduction, amount: largest }])).toMatchObject([
    { error_code: 'PT402', error_detail: { requested: largest, available: largest - 10 } },
  ]);
  const [answer] = await batch(db, [{ ...deduction, amount: largest - 10 }]);
  expect(answer).toMatchObject({ balance: 10 - largest, available: 0 });
  await keyed('capture_hold', 10, { p_hold_id: 1 });
  expect(await remaining()).toEqual({ balance: -largest, held: 0, debt: largest, available: 0 });
  expect(await raised(keyed('deduct_credits', 1))).toMatchObject({ code: 'PT402' });
  expect(await keyed('grant_credits', largest)).toMatchObject({ balance: 0, repaid: largest });
  expect(await discrepancies(db)).toEqual([]);
});

test('a revocation makes no balance below -(2^53 - 1)', async () => {
  const { grant_id } = await keyed('grant_credits', 10);
  await on('set_overdraft_limit', { p_overdraft_limit: largest });
  await keyed('deduct_credits', 10);
  await keyed('deduct_credits', largest - 4, { p_operation: 'another' }); // one has no more than 2^53 - 1
  const before = await everything(db);
  const revoke = { p_grant_id: grant_id, p_on_spent: 'debt' };
  expect(await raised(keyed('revoke_grant', 5, revoke))).toMatchObject({
    code: '22023',
    detail: { account_id: account, argument: 'p_amount' },
  });
  expect(await everything(db)).toBe(before);
  expect(await keyed('revoke_grant', 4, revoke)).toMatchObject({ amount: 4, balance: -largest });
  expect(await remaining()).toEqual({ balance: -largest, held: 0, debt: largest, available: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('what is scheduled counts: no balance of more than 2^53 - 1 is ever due', async () => {
  await keyed('grant_credits', 10);
  const later = { p_effective_at: '2100-01-01Z' };
  await keyed('grant_credits', largest - 10, later);
  const before = await everything(db);
  for (const when of [{}, later]) {
    expect(await raised(keyed('grant_credits', 1, when))).toMatchObject({
      code: '22023',
      detail: { account_id: account, argument: 'p_amount', balance: 10, scheduled: largest - 10 },
    });
  }
  expect(await everything(db)).toBe(before);
});
