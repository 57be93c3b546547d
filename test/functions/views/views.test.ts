import { expect, test } from 'vitest';
import { useDatabase } from '../../support/database.ts';

const db = useDatabase();

const typed = (names: string, type: string) => names.split(' ').map((name) => `${name} ${type}`);
const per = {
  account: ['account_id text'],
  period: ['account_id text', 'period date'],
  line: ['account_id text', 'period date', 'api_key_id text', 'operation text'],
};
const usage = typed('credits_used credits_refunded net_used calls', 'bigint');

/** What is promised of each view. Views may gain columns, at the end. */
const views: Record<string, string[]> = {
  remaining: [
    ...per.account,
    ...typed('balance held overdraft_limit debt available scoped credits_used calls', 'bigint'),
    'period_start date',
    'period_end date',
    'next_expiry_at timestamp with time zone',
    'next_expiry_amount bigint',
  ],
  invoice: [
    ...per.period,
    ...typed('opening_balance credits_granted credits_used credits_refunded', 'bigint'),
    ...typed('credits_expired credits_revoked closing_balance net_used calls', 'bigint'),
    'is_open boolean',
  ],
  invoice_lines: [...per.line, ...usage],
  usage: [...per.line, ...usage],
  transactions: [
    ...per.account,
    'transaction_id bigint',
    'kind text',
    'amount bigint',
    'balance_after bigint',
    ...typed('api_key_id operation run_id', 'text'),
    'refunded_transaction_id bigint',
    'idempotency_key text',
    'metadata jsonb',
    ...typed('effective_at created_at', 'timestamp with time zone'),
    'hold_id bigint',
  ],
  entries: [
    ...per.account,
    ...typed('entry_id transaction_id', 'bigint'),
    'kind text',
    ...typed('grant_id amount balance_after', 'bigint'),
    'period date',
    ...typed('effective_at created_at', 'timestamp with time zone'),
    'hold_id bigint',
    'is_final boolean',
    ...typed('revoked_grant_id repaid_entry_id', 'bigint'),
  ],
  grants: [
    ...per.account,
    'grant_id bigint',
    'state text',
    ...typed('amount remaining', 'bigint'),
    'source text',
    'priority integer',
    'operations text[]',
    ...typed('effective_at expires_at', 'timestamp with time zone'),
    'origin_grant_id bigint',
    ...typed('held revoked taken', 'bigint'),
  ],
  holds: [
    ...per.account,
    'hold_id bigint',
    'state text',
    ...typed('amount held captured', 'bigint'),
    ...typed('api_key_id operation run_id', 'text'),
    ...typed('expires_at resolved_at', 'timestamp with time zone'),
    'metadata jsonb',
    'created_at timestamp with time zone',
  ],
  limits: [
    ...per.account,
    ...typed('limit_id scope scope_id', 'text'),
    'is_each boolean',
    'limit_window text',
    'window_start date',
    ...typed('ceiling overage spent reserved remaining', 'bigint'),
    ...typed('window_starts_at window_ends_at', 'timestamp with time zone'),
  ],
  accounts: [
    ...per.account,
    'unit text',
    'scale integer',
    'time_zone text',
    'anchor_day integer',
    ...typed('opened_at closed_at settled_until', 'timestamp with time zone'),
    'metadata jsonb',
  ],
  discrepancies: typed('invariant account_id expected actual', 'text'),
};

const columnsOf = async (view: string): Promise<string[]> =>
  (
    await db.query(
      `select attname || ' ' || format_type(atttypid, atttypmod) as column
       from pg_attribute where attrelid = $1::regclass and attnum > 0 order by attnum`,
      [`credits.${view}`],
    )
  ).map((row) => row.column);

test.each(Object.entries(views))('credits.%s has its columns, in order', async (view, columns) => {
  const actual = await columnsOf(view);
  expect(actual.filter((column) => columns.includes(column))).toEqual(columns);
});

test('no figure of any view is a numeric: they are exact integers for every driver', async () => {
  for (const view of Object.keys(views)) {
    const inexact = (await columnsOf(view)).filter((column) =>
      /(numeric|double precision|real)$/.test(column),
    );
    expect(inexact).toEqual([]);
  }
});

test('credits has no other views than those listed here', async () => {
  const rows = await db.query(
    `select relname as name from pg_class
     where relnamespace = 'credits'::regnamespace and relkind = 'v' order by relname`,
  );
  expect(rows.map((row) => row.name)).toEqual(Object.keys(views).sort());
});
