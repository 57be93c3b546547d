import { beforeAll, expect, test } from 'vitest';
import { type Arguments, call } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

const db = useDatabase();

const on = (name: string, args: Arguments) => call(db, name, { p_account_id: 'acme', ...args });
let count = 0;
const deduct = (amount: number, apiKey: string | null, operation: string | null) => {
  count += 1;
  return on('deduct_credits', {
    p_amount: amount,
    p_idempotency_key: `deduct ${count}`,
    p_api_key_id: apiKey,
    p_operation: operation,
  });
};

// 1000 granted (900 for ever, 100 for search until 2999); six calls worth 158; 20 of them given back.
beforeAll(async () => {
  await on('open_account', { p_unit: 'usd', p_scale: 2 });
  await on('grant_credits', { p_amount: 900, p_idempotency_key: 'paid' });
  await on('grant_credits', {
    p_amount: 100,
    p_idempotency_key: 'free',
    p_operations: ['search'],
    p_expires_at: '2999-01-01Z',
    p_source: 'promotion',
  });
  await deduct(99, null, 'search');
  await deduct(3, null, 'search'); // one from the scoped grant, two from the other
  await deduct(1, 'key A', 'search');
  const { transaction_id } = await deduct(30, 'key A', 'execute');
  await deduct(20, 'key B', 'execute');
  await deduct(5, null, null);
  await on('refund_credits', {
    p_transaction_id: transaction_id,
    p_idempotency_key: 'refund',
    p_amount: 20,
  });
});

const lines = [
  { api_key_id: 'key A', operation: 'execute', used: 30, refunded: 20, net_used: 10, calls: 1 },
  { api_key_id: 'key A', operation: 'search', used: 1, refunded: 0, net_used: 1, calls: 1 },
  { api_key_id: 'key B', operation: 'execute', used: 20, refunded: 0, net_used: 20, calls: 1 },
  { api_key_id: null, operation: 'search', used: 102, refunded: 0, net_used: 102, calls: 2 },
  { api_key_id: null, operation: null, used: 5, refunded: 0, net_used: 5, calls: 1 },
];

test.each(['usage', 'invoice_lines'])(
  'credits.%s groups calls without an API key like any other',
  async (view) => {
    const rows = await db.query(
      `select api_key_id, operation, credits_used as used, credits_refunded as refunded, net_used,
       calls
     from credits.${view} where account_id = 'acme'
     order by api_key_id nulls last, operation nulls last`,
    );
    expect(rows).toEqual(lines);
  },
);

test('the invoice leads from balance to balance, and its lines sum up to it', async () => {
  const invoice = await db.one(`select * from credits.invoice where account_id = 'acme'`);
  expect(invoice).toMatchObject({
    opening_balance: 0,
    credits_granted: 1000,
    credits_used: 158,
    credits_refunded: 20,
    credits_expired: 0,
    credits_revoked: 0,
    closing_balance: 862,
    net_used: 138,
    calls: 6,
    is_open: true,
  });
  expect(lines.reduce((sum, line) => sum + line.net_used, 0)).toBe(138);
  expect(lines.reduce((sum, line) => sum + line.calls, 0)).toBe(6);
});

test('credits.remaining says what is left, used and called; a call is one however many grants it drew on', async () => {
  const row = await db.one(
    `select r.*, r.next_expiry_at = '2999-01-01Z' as expires,
       date_trunc('month', now() at time zone 'UTC')::date as month,
       (date_trunc('month', now() at time zone 'UTC') + interval '1 month')::date as next_month
     from credits.remaining r where account_id = 'acme'`,
  );
  expect(row).toMatchObject({
    unit: 'usd',
    scale: 2,
    balance: 862,
    held: 0,
    overdraft_limit: 0,
    debt: 0,
    available: 862,
    scoped: 0,
    credits_used: 158,
    calls: 6,
    period_start: row.month,
    period_end: row.next_month,
    next_expiry_at: null, // the grant that would expire is spent
    next_expiry_amount: null,
  });
});

test('credits.transactions has one row for each event, with what it added to the balance', async () => {
  const rows = await db.query(
    `select kind, amount, balance_after, idempotency_key, refunded_transaction_id
     from credits.transactions where account_id = 'acme' order by transaction_id`,
  );
  expect(rows.map((row) => [row.kind, row.amount, row.balance_after])).toEqual([
    ['grant', 900, 900],
    ['grant', 100, 1000],
    ['deduction', -99, 901],
    ['deduction', -3, 898],
    ['deduction', -1, 897],
    ['deduction', -30, 867],
    ['deduction', -20, 847],
    ['deduction', -5, 842],
    ['refund', 20, 862],
  ]);
  expect(rows.at(-1)).toMatchObject({ idempotency_key: 'refund', refunded_transaction_id: 7 });
});

test('credits.grants shows the state of each grant and what is left of it', async () => {
  const rows = await db.query(
    `select state, amount, remaining, source, operations from credits.grants
     where account_id = 'acme' order by grant_id`,
  );
  expect(rows).toEqual([
    { state: 'active', amount: 900, remaining: 862, source: 'purchase', operations: null },
    { state: 'spent', amount: 100, remaining: 0, source: 'promotion', operations: ['search'] },
  ]);
});

test('credits.remaining names the next expiry: the earliest moment, and all that expires then', async () => {
  for (const [i, expiry] of ['2998-02-01Z', '2998-01-01Z', '2998-01-01Z'].entries()) {
    const args = { p_amount: 10 + i, p_idempotency_key: `next ${i}`, p_expires_at: expiry };
    await call(db, 'grant_credits', { p_account_id: 'expiring', ...args });
  }
  expect(
    await db.one(
      `select next_expiry_at = '2998-01-01Z' as earliest, next_expiry_amount
       from credits.remaining where account_id = 'expiring'`,
    ),
  ).toEqual({ earliest: true, next_expiry_amount: 23 });
  expect(await discrepancies(db)).toEqual([]);
});
