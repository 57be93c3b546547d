import { expect, test } from 'vitest';
import { call } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';

const db = useDatabase();

/** The columns of a composite type or view, in order, as `name type`. */
const columnsOf = async (name: string) =>
  (
    await db.query(
      `select attname || ' ' || format_type(atttypid, atttypmod) as column
       from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped
       order by attnum`,
      [`credits.${name}`],
    )
  ).map((row) => row.column);

const figures = ['amount bigint', 'balance bigint', 'available bigint', 'replayed boolean'];
const exceeded = 'exceeded_limits text[]';
const accountFigures = ['account_id text', 'balance bigint', 'available bigint'];
const limit = [
  ...['limit_id text', 'scope text', 'scope_id text', 'limit_window text'],
  ...['ceiling bigint', 'overage bigint'],
];
const until = 'expires_at timestamp with time zone';
const results: Record<string, string[]> = {
  deduct_credits: ['transaction_id bigint', ...figures, exceeded],
  grant_credits: ['grant_id bigint', 'transaction_id bigint', ...figures, 'repaid bigint'],
  refund_credits: ['transaction_id bigint', ...figures, 'repaid bigint'],
  hold_credits: ['hold_id bigint', ...figures, until, exceeded],
  capture_hold: ['hold_id bigint', 'transaction_id bigint', ...figures, 'held bigint', exceeded],
  release_hold: ['hold_id bigint', ...figures],
  extend_hold: ['hold_id bigint', ...figures.slice(0, -1), until],
  revoke_grant: ['grant_id bigint', 'transaction_id bigint', ...figures, 'outstanding bigint'],
  set_limit: limit,
  remove_limit: limit,
  open_account: accountFigures,
  settle_account: accountFigures,
  set_overdraft_limit: accountFigures,
  close_account: accountFigures,
  forget_account: accountFigures,
};
const many: Record<string, string[]> = {
  deduct_credits_batch: [
    ...['deduction integer', 'account_id text', 'idempotency_key text', 'transaction_id bigint'],
    ...[...figures, exceeded, 'error_code text', 'error_message text', 'error_detail jsonb'],
  ],
  explain_balance: [
    ...['grant_id bigint', 'source text', 'kind text', 'api_key_id text', 'operation text'],
    ...['amount bigint', 'held bigint', 'entries bigint'],
  ],
};

test.each([
  ...Object.entries(results).map(([name, columns]) => [name, 'one row', columns] as const),
  ...Object.entries(many).map(([name, columns]) => [name, 'rows', columns] as const),
])('%s returns %s: %s', async (name, rows, columns) => {
  const { type } = await db.one(
    `select prorettype::regtype::text as type from pg_proc
     where pronamespace = 'credits'::regnamespace and proname = $1 and proretset = $2`,
    [name, rows === 'rows'],
  );
  // Columns are only ever added, at the end.
  const actual = await columnsOf(type.replace('credits.', ''));
  expect(actual.slice(0, columns.length)).toEqual(columns);
});

test.each([
  ['available_for', 'bigint'],
  ['settle_due', 'integer'],
])('%s returns %s', async (name, type) => {
  expect(
    await db.one(
      `select prorettype::regtype::text as type from pg_proc
       where pronamespace = 'credits'::regnamespace and proname = $1`,
      [name],
    ),
  ).toEqual({ type });
});

const signatures: Record<string, string> = {
  open_account:
    'p_account_id, p_unit, p_scale, p_overdraft_limit, p_time_zone, p_anchor_day, p_metadata',
  grant_credits:
    'p_account_id, p_amount, p_idempotency_key, p_source, p_priority, p_expires_at, ' +
    'p_effective_at, p_operations, p_paid_amount, p_paid_currency, p_metadata, p_expires_in',
  deduct_credits:
    'p_account_id, p_amount, p_idempotency_key, p_api_key_id, p_operation, p_run_id, p_metadata',
  refund_credits: 'p_account_id, p_transaction_id, p_idempotency_key, p_amount, p_metadata',
  hold_credits:
    'p_account_id, p_amount, p_idempotency_key, p_expires_in, p_api_key_id, p_operation, ' +
    'p_run_id, p_metadata',
  capture_hold: 'p_account_id, p_hold_id, p_amount, p_idempotency_key, p_final, p_metadata',
  release_hold: 'p_account_id, p_hold_id, p_idempotency_key',
  extend_hold: 'p_account_id, p_hold_id, p_expires_in',
  revoke_grant: 'p_account_id, p_grant_id, p_idempotency_key, p_amount, p_on_spent, p_metadata',
  set_limit: 'p_account_id, p_limit_id, p_ceiling, p_scope, p_scope_id, p_window, p_overage',
  remove_limit: 'p_account_id, p_limit_id',
  set_overdraft_limit: 'p_account_id, p_overdraft_limit',
  close_account: 'p_account_id',
  settle_account: 'p_account_id',
  settle_due: 'p_max_accounts',
  deduct_credits_batch: 'p_deductions, p_all_or_nothing',
  forget_account: 'p_account_id',
  explain_balance: 'p_account_id, p_at',
  available_for: 'p_account_id, p_operation',
};
test.each(Object.entries(signatures))('%s takes %s', async (name, parameters) => {
  const { names } = await db.one(
    `select array_to_string(proargnames, ', ') as names from pg_proc
     where pronamespace = 'credits'::regnamespace and proname = $1`,
    [name],
  );
  expect(names.startsWith(parameters)).toBe(true); // only ever appended to
});

test('a grant, a deduction and a refund answer with what they did, and what is left', async () => {
  const account = { p_account_id: 'acme' };
  const scoped = { p_amount: 7, p_idempotency_key: 'scoped', p_operations: ['search'] };
  expect(await call(db, 'grant_credits', { ...account, ...scoped })).toEqual({
    grant_id: 1,
    transaction_id: 1,
    amount: 7,
    balance: 7,
    available: 0,
    replayed: false,
    repaid: 0,
    expires_at: null,
  });
  const grant = { p_amount: 100, p_idempotency_key: 'grant' };
  expect(await call(db, 'grant_credits', { ...account, ...grant })).toEqual({
    grant_id: 2,
    transaction_id: 2,
    amount: 100,
    balance: 107,
    available: 100,
    replayed: false,
    repaid: 0,
    expires_at: null,
  });
  const deduct = { p_amount: 10, p_idempotency_key: 'deduct', p_operation: 'search' };
  expect(await call(db, 'deduct_credits', { ...account, ...deduct })).toEqual({
    transaction_id: 3, // and entry 4, from the second grant
    amount: 10,
    balance: 97,
    available: 97,
    replayed: false,
    exceeded_limits: null,
    refunded: 0,
  });
  const refund = { p_transaction_id: 3, p_amount: 5, p_idempotency_key: 'refund' };
  expect(await call(db, 'refund_credits', { ...account, ...refund })).toEqual({
    transaction_id: 5,
    amount: 5,
    balance: 102,
    available: 100,
    replayed: false,
    repaid: 0,
  });
});

test('a call can name the columns that it wants, and pass its arguments in order', async () => {
  expect(
    await db.query('select transaction_id, balance from credits.deduct_credits($1, $2, $3)', [
      'acme',
      2,
      'positional',
    ]),
  ).toEqual([{ transaction_id: 7, balance: 100 }]);
});
