import pg from 'pg';
import type { Database } from './database.ts';
import { moment } from './time.ts';

// How tests call the API: by the names of the arguments, now or at a moment of their choice. A call
// answers with its row, whose figures are numbers.

/** A database, or one connection to it. */
export type Target = Database | pg.Client;
export type Arguments = Record<string, unknown>;

// biome-ignore lint/suspicious/noExplicitAny: the shape of a row is the function's
export type Row = any;

export async function rowsOf(target: Target, text: string, params?: unknown[]): Promise<Row[]> {
  return target instanceof pg.Client
    ? (await target.query(text, params)).rows
    : target.query(text, params);
}

async function select(target: Target, name: string, args: Arguments): Promise<Row> {
  const list = Object.keys(args).map((key, i) => `${key} => $${i + 1}`);
  const text = `select * from ${name}(${list.join(', ')})`;
  const [row] = await rowsOf(target, text, Object.values(args));
  return row;
}

/** A call of a public function, now. */
export const call = (target: Target, name: string, args: Arguments): Promise<Row> =>
  select(target, `credits.${name}`, args);

/** A batch of deductions, now: its answers. */
export const batch = (
  target: Target,
  deductions: unknown,
  allOrNothing: boolean | null = false,
): Promise<Row[]> =>
  rowsOf(target, 'select * from credits.deduct_credits_batch($1, $2)', [
    JSON.stringify(deductions),
    allOrNothing,
  ]);

/** The same batch at a moment. */
export const batchAt = (
  target: Target,
  at: number | string,
  deductions: unknown,
  allOrNothing = false,
): Promise<Row[]> =>
  rowsOf(
    target,
    `select * from credits_private.deduct_batch(
       p_deductions => $1, p_all_or_nothing => $2, p_at => $3)`,
    [JSON.stringify(deductions), allOrNothing, written(at)],
  );

const nothing = (...names: string[]): Arguments =>
  Object.fromEntries(names.map((name) => [`p_${name}`, null]));
const ids = nothing('api_key_id', 'operation', 'run_id');
const anHour = { p_expires_in: '1 hour' };

/** What the private functions, which take a moment, have no defaults for. */
const defaults: Record<string, Arguments> = {
  open_account: nothing('unit', 'scale', 'overdraft_limit', 'time_zone', 'anchor_day', 'metadata'),
  grant_credits: {
    ...nothing('expires_at', 'expires_in', 'effective_at', 'operations'),
    ...nothing('paid_amount', 'paid_currency'),
    ...{ p_source: 'purchase', p_priority: 100, p_metadata: {} },
  },
  deduct_credits: { ...ids, p_metadata: {} },
  refund_credits: { p_amount: null, p_metadata: {} },
  hold_credits: { ...ids, ...anHour, p_metadata: {} },
  capture_hold: { p_final: true, p_metadata: {} },
  revoke_grant: { p_amount: null, p_on_spent: 'clamp', p_metadata: {} },
  set_limit: { p_scope: 'account', p_scope_id: null, p_window: 'period', p_overage: 0 },
};

// These names are taken, for one more release: sql/private/calls_in_flight.sql.
const privateNames: Record<string, string> = { capture_hold: 'capture' };

const written = (at: number | string): string => (typeof at === 'number' ? moment(at) : at);

/** The same call at a moment: in microseconds, or as Postgres reads it. */
export const callAt = (
  target: Target,
  name: string,
  at: number | string,
  args: Arguments,
): Promise<Row> =>
  select(target, `credits_private.${privateNames[name] ?? `${name}_at`}`, {
    ...defaults[name],
    ...args,
    p_at: written(at),
  });

let count = 0;
/** An idempotency key, or an account, that no other call of this file has. */
export const unique = (word = 'key'): string => {
  count += 1;
  return `${word}-${count}`;
};

interface Keyed {
  key: string;
}
export interface Grant extends Keyed {
  amount: number;
  expires?: number | null;
  priority?: number;
  source?: string;
  operations?: string[] | null;
  /** When it takes effect: now, unless it is dated back or scheduled. */
  effective?: number | null;
}
export interface Ids {
  apiKey?: string | null;
  operation?: string | null;
  run?: string | null;
}
export interface Deduction extends Keyed, Ids {
  amount: number;
}
export interface Hold extends Deduction {
  /** An interval: an hour, unless it says otherwise. */
  expiresIn?: string;
}
export interface Capture extends Keyed {
  hold: number;
  amount: number;
  final?: boolean;
}
export interface Refund extends Keyed {
  transaction: number;
  amount?: number | null;
}
export interface Revocation extends Keyed {
  grant: number;
  amount?: number | null;
  onSpent?: 'clamp' | 'debt';
}
export interface Limit {
  id: string;
  ceiling: number;
  scope?: 'account' | 'api_key' | 'operation' | 'run';
  scopeId?: string | null;
  window?: 'hour' | 'day' | 'week' | 'period' | 'total';
  overage?: number;
}

/** Short names for arguments, for the calls of histories. */
const shortNames: Record<string, string> = {
  apiKey: 'api_key_id',
  effective: 'effective_at',
  expires: 'expires_at',
  expiresIn: 'expires_in',
  grant: 'grant_id',
  hold: 'hold_id',
  id: 'limit_id',
  key: 'idempotency_key',
  onSpent: 'on_spent',
  overdraft: 'overdraft_limit',
  run: 'run_id',
  scopeId: 'scope_id',
  transaction: 'transaction_id',
};
const isMoment = (name: string, value: unknown): value is number =>
  (name === 'expires' || name === 'effective') && typeof value === 'number';
const named = (args: object): Arguments =>
  Object.fromEntries(
    Object.entries(args)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [
        `p_${shortNames[name] ?? name}`,
        isMoment(name, value) ? moment(value) : value,
      ]),
  );

/** The calls of a history: by an account, at a moment. */
const calling =
  <Args extends object>(name: string) =>
  (target: Target, account: string, at: number, args: Args): Promise<Row> =>
    callAt(target, name, at, { p_account_id: account, ...named(args) });

export const grantAt = calling<Grant>('grant_credits');
export const deductAt = calling<Deduction>('deduct_credits');
export const refundAt = calling<Refund>('refund_credits');
export const holdAt = calling<Hold>('hold_credits');
export const captureAt = calling<Capture>('capture_hold');
export const releaseAt = calling<Keyed & { hold: number }>('release_hold');
export const extendAt = calling<{ hold: number; expiresIn: string }>('extend_hold');
export const revokeAt = calling<Revocation>('revoke_grant');
export const limitAt = calling<Limit>('set_limit');
const overdraft = calling<{ overdraft: number }>('set_overdraft_limit');
export const overdraftAt = (target: Target, account: string, at: number, limit: number) =>
  overdraft(target, account, at, { overdraft: limit });
const settle = calling<object>('settle_account');
export const settleAt = (target: Target, account: string, at: number) =>
  settle(target, account, at, {});
