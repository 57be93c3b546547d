import { expect, test } from 'vitest';
import { batch, call, callAt, unique } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';

const db = useDatabase();

const opened = async (amount: number, name = unique('account')): Promise<string> => {
  await call(db, 'grant_credits', {
    p_account_id: name,
    p_amount: amount,
    p_idempotency_key: 'grant',
  });
  return name;
};
const balances = async (accounts: string[]) =>
  (
    await db.query(
      `select balance from credits.remaining where account_id = any ($1)
       order by array_position($1, account_id)`,
      [accounts],
    )
  ).map((row) => row.balance);

test('a batch answers each deduction as deduct_credits would, in the order of the caller', async () => {
  const [a, b] = [await opened(100), await opened(50)];
  const of = (account_id: string, amount: number, idempotency_key: string) => ({
    account_id,
    amount,
    idempotency_key,
  });
  const answers = await batch(db, [of(b, 7, '1'), of(a, 30, '1'), of(b, 43, '2'), of(a, 1, '2')]);
  const answer = (deduction: number, account_id: string, idempotency_key: string) => ({
    deduction,
    account_id,
    idempotency_key,
    replayed: false,
    exceeded_limits: null,
    refunded: 0,
    error_code: null,
    error_message: null,
    error_detail: null,
  });
  expect(answers).toEqual([
    { ...answer(1, b, '1'), transaction_id: 2, amount: 7, balance: 43, available: 43 },
    { ...answer(2, a, '1'), transaction_id: 2, amount: 30, balance: 70, available: 70 },
    { ...answer(3, b, '2'), transaction_id: 3, amount: 43, balance: 0, available: 0 },
    { ...answer(4, a, '2'), transaction_id: 3, amount: 1, balance: 69, available: 69 },
  ]);
  expect(await balances([a, b])).toEqual([69, 0]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a batch keeps what each deduction says of itself, and null is as if it were left out', async () => {
  const account = await opened(100);
  const spent = { account_id: account, amount: 3 };
  const said = { api_key_id: 'key', operation: 'search', run_id: 'run', metadata: { a: [1] } };
  const nothing = { api_key_id: null, operation: null, run_id: null };
  await batch(db, [
    { ...spent, ...said, idempotency_key: 'all' },
    { ...spent, ...nothing, idempotency_key: 'nothing' },
  ]);
  expect(
    await db.query(
      `select kind, amount, api_key_id, operation, run_id, idempotency_key, metadata
       from credits.transactions where account_id = $1 and kind = 'deduction'
       order by transaction_id`,
      [account],
    ),
  ).toEqual([
    { kind: 'deduction', amount: -3, ...said, idempotency_key: 'all' },
    { kind: 'deduction', amount: -3, ...nothing, idempotency_key: 'nothing', metadata: {} },
  ]);
});

test('a batch takes a whole number however it is written in JSON', async () => {
  const account = await opened(1000);
  const written = ['5', '5.0', '5e0', '0.5e1', '50e-1'].map(
    (amount, i) => `{"account_id": "${account}", "amount": ${amount}, "idempotency_key": "${i}"}`,
  );
  const answers = await db.query(
    'select amount, error_code from credits.deduct_credits_batch($1)',
    [`[${written.join(', ')}]`],
  );
  expect(answers).toEqual(written.map(() => ({ amount: 5, error_code: null })));
});

test('a batch settles what is due, and draws on what is left', async () => {
  const account = unique('account');
  const grant = { p_account_id: account, p_amount: 10, p_idempotency_key: 'old' };
  await callAt(db, 'grant_credits', '2024-01-01Z', { ...grant, p_expires_at: '2024-01-20Z' });
  await opened(5, account);
  const spent = { account_id: account, amount: 5 };
  const answers = await batch(db, [
    { ...spent, amount: 6, idempotency_key: 'more' },
    { ...spent, idempotency_key: 'all' },
  ]);
  expect(answers).toMatchObject([
    { error_code: 'PT402', error_detail: { available: 5 } },
    { balance: 0, transaction_id: 4 },
  ]);
  const kinds = await db.query(
    'select kind from credits.entries where account_id = $1 order by entry_id',
    [account],
  );
  expect(kinds.map((row) => row.kind)).toEqual(['grant', 'expiry', 'grant', 'deduction']);
  expect(await discrepancies(db)).toEqual([]);
});

test('a deduction of a batch that passes a soft ceiling says so, and the next one is refused', async () => {
  const account = await opened(100);
  await call(db, 'set_limit', {
    p_account_id: account,
    p_limit_id: 'soft',
    p_ceiling: 10,
    p_overage: 5,
  });
  const of = (amount: number) => ({ account_id: account, amount, idempotency_key: unique() });
  expect(await batch(db, [of(10), of(4), of(2), of(1)])).toMatchObject([
    { balance: 90, exceeded_limits: null },
    { balance: 86, exceeded_limits: ['soft'] },
    { error_code: 'PT429', error_detail: { limit_id: 'soft', spent: 14, remaining: 1 } },
    { balance: 85, exceeded_limits: ['soft'] },
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('an empty batch is answered with nothing', async () => {
  const before = await everything(db);
  expect(await batch(db, [])).toEqual([]);
  expect(await batch(db, [], true)).toEqual([]);
  expect(await everything(db)).toBe(before);
});

test('ten thousand deductions over a hundred accounts are one call, and the sums tie out', async () => {
  const accounts = await Promise.all(Array.from({ length: 100 }, () => opened(5000)));
  // Against the order of the accounts, and alternating between them.
  const deductions = Array.from({ length: 10_000 }, (_, i) => ({
    account_id: accounts[99 - (i % 100)],
    amount: 1 + (i % 7),
    idempotency_key: `${i}`,
    operation: i % 2 ? 'search' : null,
  }));
  const answers = await batch(db, deductions);
  expect(answers).toHaveLength(10_000);
  answers.forEach((answer, i) => {
    const { account_id, idempotency_key, amount } = deductions[i] ?? {};
    expect(answer).toMatchObject({ deduction: i + 1, account_id, idempotency_key, amount });
  });
  const total = deductions.reduce((sum, { amount }) => sum + amount, 0);
  const left = await balances(accounts as string[]);
  expect(left.reduce((sum, balance) => sum + balance, 0)).toBe(100 * 5000 - total);
  const usage = await db.one(
    `select sum(calls)::bigint as calls, sum(credits_used)::bigint as used from credits.usage
     where account_id = any ($1)`,
    [accounts],
  );
  expect(usage).toEqual({ calls: 10_000, used: total });
  expect(await discrepancies(db)).toEqual([]);
}, 120_000);
