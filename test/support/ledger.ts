import type pg from 'pg';
import { DatabaseError } from 'pg';
import { expect } from 'vitest';
import { randomNumbers } from '../../tools/random.ts';
import { asRole, createDatabase, type Database } from './database.ts';

export { randomNumbers };

/** Times of these helpers are microseconds since 1970: a Date has no more than milliseconds. */
export const HOUR = 3_600_000_000;
export const DAY = 24 * HOUR;
export const us = (iso: string): number => Date.parse(iso) * 1000;
export const moment = (at: number): string => {
  const seconds = new Date(Math.floor(at / 1000)).toISOString().slice(0, -1);
  return `${seconds}${String(at % 1000).padStart(3, '0')}Z`;
};

export interface Grant {
  key: string;
  amount: number;
  expires?: number | null;
  priority?: number;
  source?: string;
  operations?: string[] | null;
  /** When it takes effect: now, unless it is dated back or scheduled. */
  effective?: number | null;
}

/** As credits.grant_credits, at a moment. */
export const grantAt = (db: Database, account: string, at: number, grant: Grant) =>
  db.one(
    `select grant_id, transaction_id, amount, balance, available, replayed, repaid
     from credits_private.grant_credits_at($1, $2, $3, $4, $5, $6, $7, $8, null, null, '{}', null, $9)`,
    [
      account,
      grant.amount,
      grant.key,
      grant.source ?? 'purchase',
      grant.priority ?? 100,
      grant.expires ? moment(grant.expires) : null,
      grant.effective ? moment(grant.effective) : null,
      grant.operations ?? null,
      moment(at),
    ],
  );

export interface Deduction {
  key: string;
  amount: number;
  apiKey?: string | null;
  operation?: string | null;
  run?: string | null;
}

/** As credits.deduct_credits, at a moment. */
export const deductAt = (db: Database, account: string, at: number, deduction: Deduction) =>
  db.one(
    `select transaction_id, amount, balance, available, replayed, exceeded_limits
     from credits_private.deduct_credits_at($1, $2, $3, $4, $5, $6, '{}', $7)`,
    [
      account,
      deduction.amount,
      deduction.key,
      deduction.apiKey ?? null,
      deduction.operation ?? null,
      deduction.run ?? null,
      moment(at),
    ],
  );

export interface Hold extends Deduction {
  /** An interval: an hour, unless it says otherwise. */
  expiresIn?: string;
}

/** As credits.hold_credits, at a moment. */
export const holdAt = (db: Database, account: string, at: number, hold: Hold) =>
  db.one(
    `select hold_id, amount, balance, available, replayed, expires_at, exceeded_limits
     from credits_private.hold_credits_at($1, $2, $3, $4, $5, $6, $7, '{}', $8)`,
    [
      account,
      hold.amount,
      hold.key,
      hold.expiresIn ?? '1 hour',
      hold.apiKey ?? null,
      hold.operation ?? null,
      hold.run ?? null,
      moment(at),
    ],
  );

/** As credits.capture_hold, at a moment. */
export const captureAt = (
  db: Database,
  account: string,
  at: number,
  capture: { key: string; hold: number; amount: number; final?: boolean },
) =>
  db.one(
    `select hold_id, transaction_id, amount, balance, available, replayed, held, exceeded_limits
     from credits_private.capture($1, $2, $3, $4, $5, '{}', $6)`,
    [account, capture.hold, capture.amount, capture.key, capture.final ?? true, moment(at)],
  );

/** As credits.release_hold, at a moment. */
export const releaseAt = (
  db: Database,
  account: string,
  at: number,
  release: { key: string; hold: number },
) =>
  db.one(
    `select hold_id, amount, balance, available, replayed
     from credits_private.release_hold_at($1, $2, $3, $4)`,
    [account, release.hold, release.key, moment(at)],
  );

/** As credits.extend_hold, at a moment. */
export const extendAt = (
  db: Database,
  account: string,
  at: number,
  hold: number,
  expiresIn: string,
) =>
  db.one(
    `select hold_id, amount, balance, available, expires_at
     from credits_private.extend_hold_at($1, $2, $3, $4)`,
    [account, hold, expiresIn, moment(at)],
  );

/** As credits.revoke_grant, at a moment. */
export const revokeAt = (
  db: Database,
  account: string,
  at: number,
  revocation: { key: string; grant: number; amount?: number | null; onSpent?: 'clamp' | 'debt' },
) =>
  db.one(
    `select grant_id, transaction_id, amount, balance, available, replayed, outstanding
     from credits_private.revoke_grant_at($1, $2, $3, $4, $5, '{}', $6)`,
    [
      account,
      revocation.grant,
      revocation.key,
      revocation.amount ?? null,
      revocation.onSpent ?? 'clamp',
      moment(at),
    ],
  );

/** As credits.set_overdraft_limit, at a moment. */
export const overdraftAt = (db: Database, account: string, at: number, limit: number) =>
  db.one('select balance, available from credits_private.set_overdraft_limit_at($1, $2, $3)', [
    account,
    limit,
    moment(at),
  ]);

export interface Limit {
  id: string;
  ceiling: number;
  scope?: 'account' | 'api_key' | 'operation' | 'run';
  scopeId?: string | null;
  window?: 'day' | 'period' | 'total';
  overage?: number;
}

/** As credits.set_limit, at a moment. */
export const limitAt = (db: Database, account: string, at: number, limit: Limit) =>
  db.one(
    `select limit_id, scope, scope_id, limit_window, ceiling, overage
     from credits_private.set_limit_at($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      account,
      limit.id,
      limit.ceiling,
      limit.scope ?? 'account',
      limit.scopeId ?? null,
      limit.window ?? 'period',
      limit.overage ?? 0,
      moment(at),
    ],
  );

/** As credits.refund_credits, at a moment. */
export const refundAt = (
  db: Database,
  account: string,
  at: number,
  refund: { key: string; transaction: number; amount?: number | null },
) =>
  db.one(
    `select transaction_id, amount, balance, available, replayed, repaid
     from credits_private.refund_credits_at($1, $2, $3, $4, '{}', $5)`,
    [account, refund.transaction, refund.key, refund.amount ?? null, moment(at)],
  );

export const settleAt = (db: Database, account: string, at: number) =>
  db.one('select balance, available from credits_private.settle_account_at($1, $2)', [
    account,
    moment(at),
  ]);

export const balanceOf = async (db: Database, account: string): Promise<number> =>
  (await db.one('select balance from credits.remaining where account_id = $1', [account])).balance;

/** Booked, or refused as a caller's request may be. */
async function booked<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof DatabaseError && /^PT4/.test(error.code ?? '')) return undefined;
    throw error;
  }
}

export interface HistoryOptions {
  steps?: number;
  start?: number;
  /** What runs between the calls: nothing, or somebody who settles or looks up to that moment. */
  settle?: (from: number, to: number) => Promise<unknown>;
}

/**
 * Calls of every sort that moves or reserves credits, at rising times, some of them refused; returns
 * the moment it ended.
 */
export async function writeHistory(
  db: Database,
  account: string,
  seed: number,
  { steps = 60, start = us('2024-01-20T00:00:00Z'), settle }: HistoryOptions = {},
): Promise<number> {
  const { below, pick } = randomNumbers(seed);
  const transactions: number[] = [];
  let holds = 0;
  let now = start;
  const amount = () => 1 + below(pick(5, 60, 200));
  const operation = () => pick(null, 'search', 'execute', 'other');

  const grant = (key: string) =>
    grantAt(db, account, now, {
      key,
      amount: 1 + below(120),
      expires: pick(null, now + 1, now + DAY, now + 20 * DAY, now + 75 * DAY, nextMonth(now)),
      priority: pick(10, 100, 100, 200),
      source: pick('purchase', 'promotion', 'plan'),
      operations: pick(null, null, ['search'], ['search', 'execute']),
    });
  const schedule = (key: string) => {
    const effective = now + pick(1, DAY, 9 * DAY, 30 * DAY);
    const expires = pick(null, effective + 1, effective + DAY, effective + 40 * DAY);
    return grantAt(db, account, now, { key, amount: 1 + below(90), effective, expires });
  };
  const deduct = async (key: string) => {
    const apiKey = pick(null, 'key a', 'key b');
    const call = deductAt(db, account, now, {
      key,
      amount: amount(),
      apiKey,
      operation: operation(),
    });
    transactions.push((await call).transaction_id);
  };
  const refund = (key: string) => {
    const transaction = transactions[below(transactions.length)] ?? 1;
    const part = pick(null, 1, 1 + below(40));
    return refundAt(db, account, now, { key, transaction, amount: part });
  };
  const hold = async (key: string) => {
    const expiresIn = pick('1 microsecond', '1 day', '9 days', '20 days', '40 days');
    const asked = { key, amount: amount(), operation: operation(), expiresIn };
    holds = (await holdAt(db, account, now, asked)).hold_id;
  };
  /** One of the latest holds, which may have ended. */
  const someHold = () => Math.max(1, holds - below(4));
  const capture = async (key: string) => {
    const some = { key, hold: someHold(), amount: amount(), final: pick(true, false) };
    transactions.push((await captureAt(db, account, now, some)).transaction_id);
  };
  const release = (key: string) => releaseAt(db, account, now, { key, hold: someHold() });
  const extend = () => extendAt(db, account, now, someHold(), pick('1 day', '30 days'));
  const revoke = (key: string) => {
    const onSpent = pick<'clamp' | 'debt'>('clamp', 'debt');
    const part = pick(null, 1 + below(50));
    return revokeAt(db, account, now, { key, grant: 1 + below(12), amount: part, onSpent });
  };
  const overdraft = () => overdraftAt(db, account, now, pick(0, 40, 150));

  const often = [grant, grant, grant, deduct, deduct, deduct, deduct, deduct, refund, refund];
  const rare = [schedule, hold, hold, hold, capture, capture, release, extend, revoke, overdraft];
  const actions = [...often, ...rare];
  for (let step = 1; step <= steps; step += 1) {
    const before = now;
    now += pick(0, 1, 900, HOUR, DAY, 9 * DAY);
    await settle?.(before, now);
    const action = (step > 1 && actions[below(actions.length)]) || grant;
    await booked(Promise.resolve(action(`step ${step}`)));
  }
  return now;
}

const nextMonth = (at: number): number => {
  const day = new Date(at / 1000);
  return Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + 1, 1) * 1000;
};

/** Eight entries: two grants, a deduction from both, a refund to both, an expiry, a deduction. */
export async function writeSample(db: Database, account: string): Promise<void> {
  const day = (date: string) => us(`2024-${date}T00:00:00Z`);
  await grantAt(db, account, day('01-10'), { key: 'grant 1', amount: 100 });
  const expires = day('02-15');
  await grantAt(db, account, day('01-11'), { key: 'grant 2', amount: 50, expires });
  const search = { key: 'search', amount: 60, apiKey: 'key a', operation: 'search' };
  await deductAt(db, account, day('01-20'), search);
  await refundAt(db, account, day('01-25'), { key: 'refund', transaction: 3, amount: 20 });
  await settleAt(db, account, day('02-16'));
  await deductAt(db, account, day('03-01'), { key: 'other', amount: 5 });
}

/** A statement that no guard sees, committed. */
export async function tamper(db: Database, table: string, statement: string): Promise<void> {
  await db.query(`begin; ${unguarded(table, statement)}; commit`);
}

const unguarded = (table: string, statement: string): string =>
  `alter table credits_private.${table} disable trigger user;
   ${statement};
   alter table credits_private.${table} enable trigger user`;

/** [invariant, subject, expected, actual] */
export type Finding = [string, string, string | null, string | null];

// One connection per database, closed with it: a new one would first read half of the catalogue.
const readers = new WeakMap<Database, Promise<pg.Client>>();

function readerOf(db: Database): Promise<pg.Client> {
  const reader =
    readers.get(db) ??
    db.connect().then(async (client) => {
      await client.query(`set time zone 'UTC'; set plan_cache_mode = force_generic_plan`);
      return client;
    });
  readers.set(db, reader);
  return reader;
}

/** What discrepancies says, of one account or of all; times in UTC. Histories are played at any time, so a clock that is behind them is none. */
export async function discrepancies(db: Database, account?: string) {
  const client = await readerOf(db);
  // Prepared, as to plan the view takes five times as long as to read it.
  const { rows } = await client.query({
    name: account === undefined ? 'all' : 'of one account',
    text: `select invariant, account_id, expected, actual, subject from credits.discrepancies
      where invariant <> 'the_clock_is_not_ahead' ${account === undefined ? '' : 'and account_id = $1'}
      order by invariant collate "C", subject, expected`,
    values: account === undefined ? [] : [account],
  });
  return rows.map((row) => ({
    account: row.account_id as string | null,
    finding: [row.invariant, row.subject, row.expected, row.actual] as Finding,
  }));
}

/** Two accounts, `broken` and `healthy`, of the sample's history. */
async function createSample(): Promise<Database> {
  const db = await createDatabase();
  await Promise.all([writeSample(db, 'broken'), writeSample(db, 'healthy')]);
  return db;
}

/** What is found in a sample that was broken: of that account only, and also when asked for it. */
async function foundIn(db: Database): Promise<Finding[]> {
  const found = await discrepancies(db);
  expect(found.filter(({ account }) => account !== 'broken')).toEqual([]);
  expect(await discrepancies(db, 'broken')).toEqual(found);
  expect(await discrepancies(db, 'healthy')).toEqual([]);
  return found.map(({ finding }) => finding);
}

/** What is found after `breakIt`, in a sample of its own. */
export async function findings(breakIt: (db: Database) => Promise<unknown>): Promise<Finding[]> {
  const db = await createSample();
  try {
    expect(await discrepancies(db)).toEqual([]);
    await breakIt(db);
    return await foundIn(db);
  } finally {
    await db.drop();
  }
}

// Of all files that one process runs; it goes with the run.
let sample: Promise<Database> | undefined;

/** The same for one statement on one table, in which no guard interferes, and which is undone. */
export async function findingsOf(table: string, statement: string): Promise<Finding[]> {
  sample ??= createSample();
  const db = await sample;
  expect(await discrepancies(db)).toEqual([]);
  const client = await readerOf(db);
  try {
    await client.query(`begin; ${unguarded(table, statement)}`);
    return await foundIn(db);
  } finally {
    await client.query('rollback');
  }
}

/** One statement as the owner of everything. */
export async function asOwner(db: Database, statement: string, params?: unknown[]) {
  const owner = await asRole(db, 'credits_owner');
  try {
    return (await owner.query(statement, params)).rows;
  } finally {
    await owner.end();
  }
}

/** The owner writes an entry by hand: the next one, sound unless `changes` make it otherwise. */
export async function insertEntry(
  db: Database,
  account: string,
  changes: Record<string, unknown> = {},
): Promise<void> {
  const { balance, period, id, now } = await db.one(
    `select balance, period, last_entry_id + 1 as id, clock_timestamp()::text as now
     from credits_private.accounts where account_id = $1`,
    [account],
  );
  const amount = Number(changes.amount ?? -1);
  const entry = {
    account_id: account,
    entry_id: id,
    transaction_id: id,
    entry_count: 1,
    kind: 'deduction',
    grant_id: 1,
    amount,
    balance_after: balance + amount,
    period,
    effective_at: now,
    created_at: now,
    ...changes,
  };
  await asOwner(
    db,
    `insert into credits_private.entries
     select * from jsonb_populate_record(null::credits_private.entries, $1)`,
    [entry],
  );
}

/** The ledger of an account from an entry on: kind, amount and grant of each; null is debt. */
export const entriesOf = async (db: Database, account: string, from = 1) =>
  (
    await db.query(
      `select kind, amount, grant_id from credits.entries
       where account_id = $1 and entry_id >= $2 order by entry_id`,
      [account, from],
    )
  ).map(({ kind, amount, grant_id }): [string, number, number | null] => [kind, amount, grant_id]);

/** What an account has at a moment, whether or not what is due by then has been settled. */
export const figuresAt = (
  db: Database,
  account: string,
  at: number,
  operation: string | null = null,
) =>
  db.one('select available, scoped, held, debt from credits_private.figures($1, $2, $3)', [
    account,
    operation,
    moment(at),
  ]);

/** What holds have reserved and let go of, in order: hold, grant (null is overdraft) and amount. */
export const partsOf = async (db: Database, account: string) =>
  (
    await db.query(
      `select hold_id, grant_id, amount from credits_private.hold_parts
       where account_id = $1 order by part_id`,
      [account],
    )
  ).map(({ hold_id, grant_id, amount }): [number, number | null, number] => [
    hold_id,
    grant_id,
    amount,
  ]);
