import { beforeEach, expect, test } from 'vitest';
import { batch, call, unique } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';

const db = useDatabase();

let account: string;
beforeEach(async () => {
  account = unique('account');
  const grant = { p_account_id: account, p_amount: 100, p_idempotency_key: 'grant' };
  await call(db, 'grant_credits', grant);
});

const deduction = (idempotency_key: string, amount: number, changes: object = {}) => ({
  account_id: account,
  amount,
  idempotency_key,
  ...changes,
});
const single = (idempotency_key: string, amount: number) =>
  call(db, 'deduct_credits', {
    p_account_id: account,
    p_amount: amount,
    p_idempotency_key: idempotency_key,
  });

test('a batch that is sent again gets the same answers, and takes effect once', async () => {
  const deductions = [deduction('1', 60), deduction('2', 60), deduction('3', 40)];
  const first = await batch(db, deductions);
  expect(first).toMatchObject([{ balance: 40 }, { error_code: 'PT402' }, { balance: 0 }]);
  const before = await everything(db);
  const again = await batch(db, deductions);
  expect(again).toEqual([
    { ...first[0], replayed: true },
    // A refusal keeps no key, so the call is tried anew.
    { ...first[1], error_detail: { ...first[1].error_detail, available: 0 } },
    { ...first[2], replayed: true },
  ]);
  expect(await everything(db)).toBe(before);
  const good = [deductions[0], deductions[2]];
  expect(await batch(db, good, true)).toMatchObject([{ replayed: true }, { replayed: true }]);
  expect(await everything(db)).toBe(before);
});

test('a refused deduction of a batch can be sent again, and is booked when it can be', async () => {
  const deductions = [deduction('1', 60), deduction('2', 60)];
  await batch(db, deductions);
  const more = { p_account_id: account, p_amount: 20, p_idempotency_key: 'more' };
  await call(db, 'grant_credits', more);
  expect(await batch(db, deductions)).toMatchObject([
    { replayed: true, balance: 40 },
    { replayed: false, balance: 0 },
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('the same key twice in one batch is one deduction, and with other arguments PT409', async () => {
  const [answer, replay, other] = await batch(db, [
    deduction('twice', 10),
    deduction('twice', 10, { metadata: { try: 2 } }),
    deduction('twice', 11),
  ]);
  expect(answer).toMatchObject({ balance: 90, replayed: false });
  expect(replay).toEqual({ ...answer, deduction: 2, replayed: true });
  expect(other).toMatchObject({
    transaction_id: null,
    error_code: 'PT409',
    error_detail: {
      account_id: account,
      idempotency_key: 'twice',
      transaction_id: answer.transaction_id,
      invariant: 'a_request_takes_effect_once',
    },
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('one key in a batch for two accounts is two deductions', async () => {
  const other = unique('account');
  const grant = { p_account_id: other, p_amount: 9, p_idempotency_key: 'grant' };
  await call(db, 'grant_credits', grant);
  const answers = await batch(db, [
    deduction('shared', 5),
    deduction('shared', 5, { account_id: other }),
  ]);
  expect(answers).toMatchObject([
    { balance: 95, replayed: false },
    { balance: 4, replayed: false },
  ]);
});

test('deduct_credits and a batch of one answer for each other', async () => {
  const alone = await single('alone', 7);
  const [answer] = await batch(db, [deduction('alone', 7)]);
  expect(answer).toMatchObject({ ...alone, replayed: true, error_code: null });

  const [first] = await batch(db, [deduction('batched', 8)]);
  const { transaction_id, amount, balance, available, exceeded_limits } = first;
  expect(await single('batched', 8)).toEqual({
    transaction_id,
    amount,
    balance,
    available,
    exceeded_limits,
    replayed: true,
    refunded: 0,
  });
  expect(first.transaction_id).toBe(alone.transaction_id + 1);
});

test('the replay of a batch also says which soft limits a deduction had passed', async () => {
  await call(db, 'set_limit', {
    p_account_id: account,
    p_limit_id: 'soft',
    p_ceiling: 1,
    p_overage: 50,
  });
  const [first] = await batch(db, [deduction('over', 8)]);
  expect(first.exceeded_limits).toEqual(['soft']);
  expect(await batch(db, [deduction('over', 8)])).toEqual([{ ...first, replayed: true }]);
  expect(await single('over', 8)).toMatchObject({ exceeded_limits: ['soft'], replayed: true });
});

test('a deduction that passes a soft limit and is not covered is refused, and keeps no key', async () => {
  await call(db, 'set_limit', {
    p_account_id: account,
    p_limit_id: 'soft',
    p_ceiling: 1,
    p_overage: 500,
  });
  expect(await batch(db, [deduction('short', 101)])).toMatchObject([{ error_code: 'PT402' }]);
  expect(await batch(db, [deduction('short', 100)])).toMatchObject([{ replayed: false }]);
});

test('a batch is answered again after its account was closed', async () => {
  const [first] = await batch(db, [deduction('before', 8)]);
  await call(db, 'close_account', { p_account_id: account });
  expect(await batch(db, [deduction('before', 8), deduction('after', 1)])).toMatchObject([
    { ...first, replayed: true },
    { error_code: 'PT423' },
  ]);
});
