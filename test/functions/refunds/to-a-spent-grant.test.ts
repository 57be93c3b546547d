import { expect, test } from 'vitest';
import { call, callAt } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

const db = useDatabase();
const account = { p_account_id: 'acme' };

test('what is refunded to a spent grant expires with it, though a settlement came between', async () => {
  const deduct = (at: string, key: string) =>
    callAt(db, 'deduct_credits', at, { ...account, p_amount: 10, p_idempotency_key: key });
  await callAt(db, 'grant_credits', '2024-01-10', {
    ...account,
    p_amount: 10,
    p_idempotency_key: 'g',
    p_expires_at: '2024-02-10',
  });
  const { transaction_id } = await deduct('2024-01-11', 'd');
  await callAt(db, 'settle_account', '2024-02-01', account); // a new period; the grant is spent
  await callAt(db, 'refund_credits', '2024-02-02', {
    ...account,
    p_transaction_id: transaction_id,
    p_idempotency_key: 'r',
  });
  expect(await discrepancies(db)).toEqual([]);
  const error = await raised(deduct('2024-02-11', 'late'));
  expect(error).toMatchObject({ code: 'PT402' });
  expect((await call(db, 'settle_account', account)).balance).toBe(0);
  expect(await discrepancies(db)).toEqual([]);
});
