import { beforeEach, describe, expect, test } from 'vitest';
import { type Arguments, batch, call, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';

const db = useDatabase();

let account: string;
beforeEach(async () => {
  account = unique('account');
  await on('grant_credits', { p_amount: 100, p_idempotency_key: 'grant' });
});

const on = (name: string, args: Arguments, of = account) =>
  call(db, name, { p_account_id: of, ...args });
const deduction = (changes: object = {}) => ({
  account_id: account,
  amount: 1,
  idempotency_key: unique(),
  ...changes,
});

/** The same deduction alone: what it raises is what a batch answers. */
const alone = (item: ReturnType<typeof deduction>) =>
  raised(
    call(
      db,
      'deduct_credits',
      Object.fromEntries(Object.entries(item).map(([name, value]) => [`p_${name}`, value])),
    ),
  );

describe('a deduction that is refused says why, as deduct_credits does, and the others are booked', () => {
  const refusals: [string, () => Promise<object>][] = [
    ['PT402', async () => ({ amount: 101 })],
    ['PT404', async () => ({ account_id: unique('nobody') })],
    ['PT409', async () => ({ idempotency_key: 'grant' })],
    [
      'PT423',
      async () => {
        const closed = unique('closed');
        await on('open_account', {}, closed);
        await on('close_account', {}, closed);
        return { account_id: closed };
      },
    ],
    [
      'PT429',
      async () => {
        await on('set_limit', { p_limit_id: 'run', p_ceiling: 5, p_scope: 'run' });
        return { amount: 6, run_id: 'run' };
      },
    ],
  ];
  test.each(refusals)('%s', async (code, prepare) => {
    const refused = deduction(await prepare());
    const error = await alone(refused);
    const before = deduction({ amount: 2 });
    const answers = await batch(db, [before, refused, deduction({ amount: 3 })]);
    expect(answers).toMatchObject([{ amount: 2 }, {}, { balance: 95 }]);
    expect(answers[1]).toEqual({
      deduction: 2,
      account_id: refused.account_id,
      idempotency_key: refused.idempotency_key,
      transaction_id: null,
      amount: null,
      balance: null,
      available: null,
      replayed: null,
      exceeded_limits: null,
      refunded: null,
      error_code: code,
      error_message: error.message,
      error_detail: expect.objectContaining(
        code === 'PT402' ? { ...error.detail, available: 98 } : error.detail,
      ),
    });
    expect(answers[1].error_detail.invariant).toBe(error.constraint || undefined);
    expect(await discrepancies(db)).toEqual([]);
  });
});

const malformed: [string, string | undefined, unknown][] = [
  ['a text', undefined, 'deduction'],
  ['a number', undefined, 5],
  ['null', undefined, null],
  ['an array', undefined, [{ amount: 1 }]],
  ['nothing', 'account_id', {}],
  ['no amount', 'amount', { amount: undefined }],
  ['null for an amount', 'amount', { amount: null }],
  ['a negative amount', 'amount', { amount: -1 }],
  ['a fraction', 'amount', { amount: 1.5 }],
  ['a text for an amount', 'amount', { amount: '5' }],
  ['true for an amount', 'amount', { amount: true }],
  ['2^53', 'amount', { amount: 2 ** 53 }],
  ['2^63', 'amount', { amount: 2 ** 63 }],
  ['-2^63', 'amount', { amount: -(2 ** 63) }],
  ['no account', 'account_id', { account_id: null }],
  ['a number for an account', 'account_id', { account_id: 5 }],
  ['an object for an account', 'account_id', { account_id: { id: 'acme' } }],
  ['an empty account', 'account_id', { account_id: '' }],
  ['no key', 'idempotency_key', { idempotency_key: undefined }],
  ['a number for a key', 'idempotency_key', { idempotency_key: 17 }],
  ['a key of 256 bytes', 'idempotency_key', { idempotency_key: 'x'.repeat(256) }],
  ['a number for an API key', 'api_key_id', { api_key_id: 1 }],
  ['an empty operation', 'operation', { operation: '' }],
  ['an array for a run', 'run_id', { run_id: ['run'] }],
  ['a text for metadata', 'metadata', { metadata: 'text' }],
  ['null for metadata', 'metadata', { metadata: null }],
  ['9 kB of metadata', 'metadata', { metadata: { text: 'x'.repeat(9000) } }],
  ['an unknown name', 'acount_id', { acount_id: 'acme' }],
  ['the name of an argument', 'p_amount', { p_amount: 1 }],
];

test.each(malformed)(
  'a batch answers 22023 to %s in place of a deduction, and books the others',
  async (...args) => {
    const [, argument, item] = args;
    const isChange = item !== null && typeof item === 'object' && !Array.isArray(item);
    const bad = isChange && Object.keys(item).length > 0 ? deduction(item) : item;
    const answers = await batch(db, [deduction(), bad, deduction()]);
    expect(answers).toMatchObject([
      { balance: 99, error_code: null },
      { deduction: 2, transaction_id: null, error_code: '22023' },
      { balance: 98, error_code: null },
    ]);
    expect(answers[1].error_detail.argument).toBe(argument);
    expect(answers[1].error_message).toMatch(/^[a-z]/);
    expect(await discrepancies(db)).toEqual([]);
  },
);

test.each([
  ['a number', 5, '5'],
  ['an object', { id: 'acme' }, '{"id": "acme"}'],
  ['true', true, 'true'],
])(
  'a batch answers 22023 to %s as an account, though one is named so, and however often it comes',
  async (_, id, name) => {
    await on('grant_credits', { p_amount: 100, p_idempotency_key: unique() }, name);
    const bad = () => deduction({ account_id: id });
    const refused = { transaction_id: null, error_code: '22023' };
    expect(await batch(db, [bad()])).toMatchObject([refused]);
    expect(await batch(db, [bad(), bad()])).toMatchObject([refused, refused]);
    const booked = { balance: 99, error_code: null };
    const good = deduction({ account_id: name });
    expect(await batch(db, [bad(), good, bad()])).toMatchObject([refused, booked, refused]);
  },
);

test.each([
  '1e400',
  '9e99999',
  '-9e99999',
  '1e-400',
  '9223372036854775808',
  '-9223372036854775808',
])('a batch answers 22023 to an amount of %s, which no bigint holds', async (amount) => {
  const item = `{"account_id": "${account}", "idempotency_key": "huge", "amount": ${amount}}`;
  const [answer, ...others] = await db.query(
    'select transaction_id, error_code, error_detail from credits.deduct_credits_batch($1)',
    [`[${item}]`],
  );
  expect(others).toEqual([]);
  expect(answer).toEqual({
    transaction_id: null,
    error_code: '22023',
    error_detail: { account_id: account, argument: 'amount' },
  });
});

describe('all or nothing', () => {
  test('books all, where nothing is refused', async () => {
    const answers = await batch(db, [deduction(), deduction({ amount: 99 })], true);
    expect(answers).toMatchObject([{ balance: 99 }, { balance: 0 }]);
  });

  test.each([
    ['PT402', 'available_is_never_negative', { amount: 99 }],
    ['PT404', undefined, { account_id: 'nobody' }],
    ['PT409', 'a_request_takes_effect_once', { idempotency_key: 'grant' }],
    ['22023', undefined, { amount: 1.5 }],
    ['22023', undefined, { amount: -1 }],
  ])('raises the first refusal (%s, %s), and books nothing', async (code, invariant, changes) => {
    const other = unique('other');
    await on('grant_credits', { p_amount: 100, p_idempotency_key: 'grant' }, other);
    const good = [deduction({ amount: 2 }), deduction({ account_id: other, amount: 3 })];
    const refused = deduction(changes);
    const second = deduction({ account_id: other, amount: 1000 });
    const before = await everything(db);
    const error = await raised(batch(db, [...good, refused, second, deduction()], true));
    expect(error.code).toBe(code);
    expect(error.constraint || undefined).toBe(invariant);
    expect(error.detail).toMatchObject({ account_id: refused.account_id, deduction: 3 });
    expect(error.detail.invariant).toBe(invariant);
    expect(error.hint).toBeTruthy();
    expect(await everything(db)).toBe(before);
    // No key was kept: the sound deductions can be sent again.
    expect(await batch(db, good, true)).toMatchObject([{ replayed: false }, { replayed: false }]);
    expect(await discrepancies(db)).toEqual([]);
  });

  test('raises what is no deduction at all, by its number', async () => {
    const error = await raised(batch(db, [deduction(), 'text'], true));
    expect(error).toMatchObject({ code: '22023', detail: { deduction: 2 } });
  });
});
