import { expect, test } from 'vitest';
import { type Arguments, batch, call, callAt } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

// What a repeated call gets: a webhook's second delivery, a retried job, a key that was
// used for another request.
const db = useDatabase();
const on = (account: string) => (name: string, args: Arguments) =>
  call(db, name, { p_account_id: account, ...args });

test('a grant that lasts an interval is the same request however late it comes again', async () => {
  const webhook = on('webhook');
  const payment = { p_amount: 500, p_idempotency_key: 'pi_9', p_expires_in: '30 days' };
  const first = await webhook('grant_credits', payment);
  expect(await webhook('grant_credits', payment)).toEqual({ ...first, replayed: true });
  expect(first.expires_at).toBeInstanceOf(Date);
  // The handler of a refund: the grant again, for its id, and then the revocation.
  const { grant_id } = await webhook('grant_credits', payment);
  const refund = { p_grant_id: grant_id, p_idempotency_key: 're_1' };
  expect(await webhook('revoke_grant', refund)).toMatchObject({ amount: 500, balance: 0 });
  expect(await discrepancies(db, 'webhook')).toEqual([]);
});

test.each([
  ['now', null, '2024-03-31 00:00+00'],
  ['its beginning in the future', '2024-03-10Z', '2024-04-09 00:00+00'],
  ['its beginning in the past', '2024-02-20Z', '2024-03-21 00:00+00'],
])("a grant's interval counts from %s", async (from, effective, expected) => {
  const account = `from ${from}`;
  const client = await db.connect();
  await client.query(`set timezone = 'America/Havana'`); // has a day of 23 hours in between
  const grant = { p_amount: 5, p_idempotency_key: 'g', p_expires_in: '30 days' };
  const args = { p_account_id: account, ...grant, p_effective_at: effective };
  const { expires_at } = await callAt(client, 'grant_credits', '2024-03-01Z', args);
  expect(expires_at).toEqual(new Date(expected));
  // An expiry as a moment is another request, and the refusal names what differs.
  const moment = { ...args, p_expires_in: null, p_expires_at: '2030-01-01Z' };
  const error = await raised(callAt(db, 'grant_credits', '2024-03-01Z', moment));
  expect(error).toMatchObject({ code: 'PT409', detail: { differs: ['expires_at'] } });
});

test.each([
  ['1 day', '24 hours'],
  ['48:00', '2 days'],
  ['1 mon', '1 mon 00:00'],
])('a hold of %s is one of %s: the same request', async (one, other) => {
  const hold = on(`holds ${one}`);
  await hold('grant_credits', { p_amount: 9, p_idempotency_key: 'g' });
  const args = { p_amount: 3, p_idempotency_key: 'h' };
  const first = await hold('hold_credits', { ...args, p_expires_in: one });
  const again = await hold('hold_credits', { ...args, p_expires_in: other });
  expect(again).toEqual({ ...first, replayed: true });
  const error = await raised(hold('hold_credits', { ...args, p_expires_in: '3 hours' }));
  expect(error).toMatchObject({ code: 'PT409', detail: { function: 'hold_credits' } });
  expect(error.detail.differs).toEqual(['expires_in']);
});

test('a hold of days that was keyed before migration 0005 is still the same request', async () => {
  const hold = on('old key');
  await hold('grant_credits', { p_amount: 9, p_idempotency_key: 'g' });
  const args = { p_amount: 3, p_idempotency_key: 'h', p_expires_in: '2 days 01:00' };
  await hold('hold_credits', args);
  await db.query(
    `alter table credits_private.idempotency_keys disable trigger user;
     update credits_private.idempotency_keys
     set fingerprint = credits_private.fingerprint('hold_credits', '{"amount": 3, "expires_in": [0, 2, 3600000000]}'),
       answer = answer - 'expires_in'
     where account_id = 'old key' and idempotency_key = 'h';
     alter table credits_private.idempotency_keys enable trigger user`,
  );
  expect(await hold('hold_credits', args)).toMatchObject({ hold_id: 1, replayed: true });
  const other = { ...args, p_expires_in: '2 days' };
  expect(await raised(hold('hold_credits', other))).toMatchObject({ code: 'PT409' });
});

test('PT409 names the arguments that differ, of every function that has a key', async () => {
  const acme = on('differs');
  const grant = { p_amount: 100, p_idempotency_key: 'g', p_priority: 5, p_operations: ['a', 'b'] };
  await acme('grant_credits', grant);
  await acme('grant_credits', { p_amount: 100, p_idempotency_key: 'plain' });
  const deduct = { p_amount: 10, p_idempotency_key: 'd', p_run_id: 'r' };
  const { transaction_id } = await acme('deduct_credits', deduct);
  const hold = { p_amount: 20, p_idempotency_key: 'h', p_api_key_id: 'k' };
  await acme('hold_credits', hold);
  const capture = { p_hold_id: 1, p_amount: 5, p_idempotency_key: 'c', p_final: false };
  await acme('capture_hold', capture);
  const refund = { p_transaction_id: transaction_id, p_idempotency_key: 'r', p_amount: 2 };
  await acme('refund_credits', refund);
  const revoke = { p_grant_id: 2, p_idempotency_key: 'v', p_amount: 3 };
  await acme('revoke_grant', revoke);
  await acme('release_hold', { p_hold_id: 1, p_idempotency_key: 'l' });
  const reused: [string, Arguments, string[]][] = [
    ['grant_credits', { ...grant, p_amount: 7, p_priority: 100 }, ['amount', 'priority']],
    ['grant_credits', { ...grant, p_operations: ['a'] }, ['operations']],
    ['grant_credits', { ...grant, p_expires_in: '1 day' }, ['expires_in']],
    [
      'grant_credits',
      { ...grant, p_paid_amount: 1, p_paid_currency: 'eur' },
      ['paid_amount', 'paid_currency'],
    ],
    ['deduct_credits', { ...deduct, p_operation: 'o', p_run_id: null }, ['operation', 'run_id']],
    ['hold_credits', { ...hold, p_amount: 21 }, ['amount']],
    ['capture_hold', { ...capture, p_final: true }, ['final']],
    ['refund_credits', { ...refund, p_amount: null }, ['amount']],
    ['revoke_grant', { ...revoke, p_on_spent: 'debt' }, ['on_spent']],
    ['release_hold', { p_hold_id: 2, p_idempotency_key: 'l' }, ['hold_id']],
  ];
  for (const [name, args, differs] of reused) {
    const error = await raised(acme(name, args));
    expect(error, name).toMatchObject({ code: 'PT409', detail: { function: name } });
    expect(error.detail.differs, name).toEqual(differs);
  }
});

test('a retried job sees that its deduction, or its capture, was given back', async () => {
  const job = on('job');
  await job('grant_credits', { p_amount: 100, p_idempotency_key: 'g' });
  const deduct = { p_amount: 30, p_idempotency_key: 'job 1' };
  const { transaction_id } = await job('deduct_credits', deduct);
  await job('hold_credits', { p_amount: 9, p_idempotency_key: 'h' });
  const capture = { p_hold_id: 1, p_amount: 8, p_idempotency_key: 'c' };
  const captured = await job('capture_hold', capture);
  expect([await job('deduct_credits', deduct), await job('capture_hold', capture)]).toMatchObject([
    { replayed: true, refunded: 0 },
    { replayed: true, refunded: 0 },
  ]);
  for (const [i, p_amount] of [10, 20].entries())
    await job('refund_credits', {
      p_transaction_id: transaction_id,
      p_amount,
      p_idempotency_key: `r${i}`,
    });
  const given = { p_transaction_id: captured.transaction_id, p_idempotency_key: 'r', p_amount: 3 };
  await job('refund_credits', given);
  expect(await job('deduct_credits', deduct)).toMatchObject({ replayed: true, refunded: 30 });
  expect(await job('capture_hold', capture)).toMatchObject({ replayed: true, refunded: 3 });
  const item = { account_id: 'job', amount: 30, idempotency_key: 'job 1' };
  expect(await batch(db, [item])).toMatchObject([{ replayed: true, refunded: 30 }]);
});

test('a call that was free is an answer with a key, and no entry and no call in usage', async () => {
  const free = on('free');
  await free('grant_credits', { p_amount: 100, p_idempotency_key: 'g' });
  const cached = { p_amount: 0, p_idempotency_key: 'cached', p_operation: '/cached' };
  const first = await free('deduct_credits', cached);
  expect(first).toMatchObject({ transaction_id: null, amount: 0, balance: 100, refunded: 0 });
  const item = { account_id: 'free', amount: 0 };
  expect(
    await batch(db, [
      { ...item, idempotency_key: 'x' },
      { ...item, amount: 1, idempotency_key: 'y' },
      { ...item, idempotency_key: 'cached', operation: '/cached' },
    ]),
  ).toMatchObject([
    { amount: 0, transaction_id: null, error_code: null },
    { amount: 1, balance: 99 },
    { amount: 0, balance: 100, replayed: true },
  ]);
  expect(await free('deduct_credits', cached)).toEqual({ ...first, replayed: true });
  const error = await raised(free('deduct_credits', { ...cached, p_amount: 1 }));
  expect(error).toMatchObject({ code: 'PT409', detail: { differs: ['amount'] } });
  expect(
    await db.query(`select operation, calls from credits.usage where account_id = 'free'`),
  ).toEqual([{ operation: null, calls: 1 }]);
  await free('close_account', {});
  expect(await free('deduct_credits', cached)).toMatchObject({ replayed: true });
  const late = { ...cached, p_idempotency_key: 'late' };
  expect(await raised(free('deduct_credits', late))).toMatchObject({ code: 'PT423' });
  expect(await discrepancies(db, 'free')).toEqual([]);
});

test('of twenty connections with one key for a call of nothing, one is first and all have one answer', async () => {
  await call(db, 'grant_credits', { p_account_id: 'race', p_amount: 5, p_idempotency_key: 'g' });
  const args = { p_account_id: 'race', p_amount: 0, p_idempotency_key: 'free' };
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => call(db, 'deduct_credits', args)),
  );
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
  expect(new Set(answers.map(({ balance }) => balance))).toEqual(new Set([5]));
});
