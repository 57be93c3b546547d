import { expect, test } from 'vitest';
import { call, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';

const db = useDatabase();
const largest = Number.MAX_SAFE_INTEGER; // 2^53 - 1

const grant = (account: string, amount: number) =>
  call(db, 'grant_credits', {
    p_account_id: account,
    p_amount: amount,
    p_idempotency_key: unique('grant'),
  });
const deduct = (account: string, amount: number) =>
  call(db, 'deduct_credits', {
    p_account_id: account,
    p_amount: amount,
    p_idempotency_key: unique('deduct'),
  });

test('amounts and balances go up to 2^53 - 1, exactly', async () => {
  expect(await grant('rich', largest)).toMatchObject({ amount: largest, balance: largest });
  expect(await deduct('rich', largest)).toMatchObject({ amount: largest, balance: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('no grant and no refund makes a balance of more than 2^53 - 1', async () => {
  await grant('full', largest);
  const { transaction_id } = await deduct('full', 10);
  await grant('full', 10);
  const before = await everything(db);
  const refused = { code: '22023', detail: { account_id: 'full', balance: largest } };
  const granted = await raised(grant('full', 1));
  expect(granted).toMatchObject(refused);
  const refund = { p_account_id: 'full', p_transaction_id: transaction_id };
  const refunded = await raised(
    call(db, 'refund_credits', { ...refund, p_idempotency_key: 'refund' }),
  );
  expect(refunded).toMatchObject(refused);
  expect(refunded.message).toBe(granted.message);
  expect(await everything(db)).toBe(before);
});

test('ids and keys have up to 255 bytes, and any characters', async () => {
  const [account, id] = [`${'é'.repeat(127)}x`, `${'漢'.repeat(84)}a'"`];
  expect([Buffer.byteLength(account), Buffer.byteLength(id)]).toEqual([255, 255]);
  const scope = { p_source: id, p_operations: [id] };
  const base = { p_account_id: account, p_amount: 5, p_idempotency_key: id };
  await call(db, 'grant_credits', { ...base, ...scope });
  const args = { p_idempotency_key: 'k', p_api_key_id: id, p_operation: id, p_run_id: id };
  await call(db, 'deduct_credits', { ...base, ...args });
  expect(
    await db.one(
      `select api_key_id, operation, run_id from credits.transactions
       where account_id = $1 and kind = 'deduction'`,
      [account],
    ),
  ).toEqual({ api_key_id: id, operation: id, run_id: id });
  expect(await call(db, 'available_for', { p_account_id: account, p_operation: id })).toEqual({
    available_for: 0,
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('ids are compared byte by byte: case, spaces and accents count', async () => {
  const accounts = ['id', 'ID', ' id', 'id ', 'íd', 'i\u0301d'];
  for (const account of accounts) await grant(account, 1);
  const rows = await db.query('select balance from credits.remaining where account_id = any ($1)', [
    accounts,
  ]);
  expect(rows).toEqual(accounts.map(() => ({ balance: 1 })));
});

test('metadata has up to 8 kB, and is kept as it is', async () => {
  const document = (bytes: number) =>
    JSON.stringify({ text: 'x'.repeat(bytes - '{"text": ""}'.length) });
  const text = document(8192);
  await call(db, 'grant_credits', {
    p_account_id: 'documents',
    p_amount: 5,
    p_idempotency_key: 'grant',
    p_metadata: text,
  });
  const args = { p_account_id: 'documents', p_amount: 5, p_idempotency_key: 'deduct' };
  const refused = call(db, 'deduct_credits', { ...args, p_metadata: document(8193) });
  expect(await raised(refused)).toMatchObject({ code: '22023' });
  await call(db, 'deduct_credits', { ...args, p_metadata: { nested: { null: null }, list: [1] } });
  const rows = await db.query(
    `select metadata from credits.transactions where account_id = 'documents'
     order by transaction_id`,
  );
  expect(rows[0].metadata).toEqual(JSON.parse(text));
  expect(rows[1].metadata).toEqual({ nested: { null: null }, list: [1] });
});
