import pg from 'pg';
import { expect } from 'vitest';
import { type Database, type Raised, raised } from '../support/database.ts';

/** A database or one connection to it. */
export type Target = Database | pg.Client;

export type Arguments = Record<string, unknown>;

const defaults: Record<string, Arguments> = {
  open_account: {
    p_unit: null,
    p_scale: null,
    p_overdraft_limit: null,
    p_time_zone: null,
    p_anchor_day: null,
    p_metadata: null,
  },
  grant_credits: {
    p_source: 'purchase',
    p_priority: 100,
    p_expires_at: null,
    p_effective_at: null,
    p_operations: null,
    p_paid_amount: null,
    p_paid_currency: null,
    p_metadata: {},
    p_expires_in: null,
  },
  deduct_credits: { p_api_key_id: null, p_operation: null, p_run_id: null, p_metadata: {} },
  refund_credits: { p_amount: null, p_metadata: {} },
  hold_credits: {
    p_expires_in: '1 hour',
    p_api_key_id: null,
    p_operation: null,
    p_run_id: null,
    p_metadata: {},
  },
  capture_hold: { p_final: true, p_metadata: {} },
  revoke_grant: { p_amount: null, p_on_spent: 'clamp', p_metadata: {} },
  set_limit: { p_scope: 'account', p_scope_id: null, p_window: 'period', p_overage: 0 },
};

// biome-ignore lint/suspicious/noExplicitAny: the shape of a row is the function's
type Row = any;

async function rowsOf(target: Target, text: string, params?: unknown[]): Promise<Row[]> {
  return target instanceof pg.Client
    ? (await target.query(text, params)).rows
    : target.query(text, params);
}

async function select(target: Target, name: string, args: Arguments): Promise<Row> {
  const list = Object.keys(args).map((key, i) => `${key} => $${i + 1}`);
  const [row] = await rowsOf(target, `select * from ${name}(${list.join(', ')})`, [
    ...Object.values(args),
  ]);
  return row;
}

/** One call of a public function by the names of its arguments: its row. */
export const call = (target: Target, name: string, args: Arguments): Promise<Row> =>
  select(target, `credits.${name}`, args);

/** A batch of deductions: its answers. */
export const batch = (
  target: Target,
  deductions: unknown,
  allOrNothing: boolean | null = false,
): Promise<Row[]> =>
  rowsOf(target, 'select * from credits.deduct_credits_batch($1, $2)', [
    JSON.stringify(deductions),
    allOrNothing,
  ]);

// These names are taken, for one more release: sql/private/calls_in_flight.sql.
const privateNames: Record<string, string> = { capture_hold: 'capture' };

/** The same call at a time of the test's choice. */
export const callAt = (target: Target, name: string, at: string, args: Arguments): Promise<Row> =>
  select(target, `credits_private.${privateNames[name] ?? `${name}_at`}`, {
    ...defaults[name],
    ...args,
    p_at: at,
  });

let count = 0;
/** An idempotency key, or an account, that no other call of this file has. */
export const unique = (word = 'key'): string => {
  count += 1;
  return `${word}-${count}`;
};

// Tests play at any time: a clock that is behind them is no discrepancy here.
export const discrepancies = (target: Target): Promise<Row[]> =>
  rowsOf(target, `select * from credits.discrepancies where invariant <> 'the_clock_is_not_ahead'`);

/** A digest of every row that we keep: equal before and after a call that changes nothing. */
export async function everything(target: Target): Promise<string> {
  const tables = ['accounts', 'grants', 'entries', 'idempotency_keys', 'usage_counters'];
  const later = ['holds', 'hold_parts', 'limits', 'limit_counters', 'revocations'];
  const digests = [...tables, ...later].map(
    (table) => `(select string_agg(t::text, '|' order by t::text) from credits_private.${table} t)`,
  );
  const [row] = await rowsOf(target, `select md5(concat_ws('/', ${digests.join(', ')})) as md5`);
  return row.md5;
}

/** What every error has: constant words, advice, and nothing changed. */
export async function refusal(
  target: Target,
  attempt: (account: string) => Promise<unknown>,
): Promise<Raised> {
  const before = await everything(target);
  const [error, other] = [await raised(attempt('acme')), await raised(attempt('other'))];
  expect(other.message).toBe(error.message);
  expect(error.message).toBe(error.message.toLowerCase());
  expect(error.hint).toBeTruthy();
  expect(error.detail.invariant).toBe(error.constraint || undefined);
  expect(await everything(target)).toBe(before);
  return error;
}
