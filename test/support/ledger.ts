import { DatabaseError } from 'pg';
import { expect } from 'vitest';
import { asRole, createDatabase, type Database } from './database.ts';

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
}

/** As credits.grant_credits, at a moment. */
export const grantAt = (db: Database, account: string, at: number, grant: Grant) =>
  db.one(
    `select grant_id, transaction_id, amount, balance, available, replayed
     from credits_private.grant_credits_at($1, $2, $3, $4, $5, $6, null, $7, null, null, '{}', $8)`,
    [
      account,
      grant.amount,
      grant.key,
      grant.source ?? 'purchase',
      grant.priority ?? 100,
      grant.expires ? moment(grant.expires) : null,
      grant.operations ?? null,
      moment(at),
    ],
  );

export interface Deduction {
  key: string;
  amount: number;
  apiKey?: string | null;
  operation?: string | null;
}

/** As credits.deduct_credits, at a moment. */
export const deductAt = (db: Database, account: string, at: number, deduction: Deduction) =>
  db.one(
    `select transaction_id, amount, balance, available, replayed
     from credits_private.deduct_credits_at($1, $2, $3, $4, $5, null, '{}', $6)`,
    [
      account,
      deduction.amount,
      deduction.key,
      deduction.apiKey ?? null,
      deduction.operation ?? null,
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
    `select transaction_id, amount, balance, available, replayed
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
    if (error instanceof DatabaseError && /^PT40[29]$/.test(error.code ?? '')) return undefined;
    throw error;
  }
}

/** The same numbers for the same seed (mulberry32). */
export function randomNumbers(seed: number) {
  let state = seed;
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
  const pick = <T>(...choices: [T, ...T[]]): T => choices[below(choices.length)] ?? choices[0];
  return { below, pick };
}

export interface HistoryOptions {
  steps?: number;
  start?: number;
  /** What runs between the calls: nothing, or somebody who settles up to that moment. */
  settle?: (from: number, to: number) => Promise<unknown>;
}

/** Grants, deductions and refunds of every sort at rising times; returns the moment it ended. */
export async function writeHistory(
  db: Database,
  account: string,
  seed: number,
  { steps = 60, start = us('2024-01-20T00:00:00Z'), settle }: HistoryOptions = {},
): Promise<number> {
  const { below, pick } = randomNumbers(seed);
  const transactions: number[] = [];
  let now = start;
  for (let step = 1; step <= steps; step += 1) {
    const key = `step ${step}`;
    const before = now;
    now += pick(0, 1, 900, HOUR, DAY, 9 * DAY);
    await settle?.(before, now);
    const action = step === 1 ? 0 : below(10);
    if (action < 3) {
      await grantAt(db, account, now, {
        key,
        amount: 1 + below(120),
        expires: pick(null, now + 1, now + DAY, now + 20 * DAY, now + 75 * DAY, nextMonth(now)),
        priority: pick(10, 100, 100, 200),
        source: pick('purchase', 'promotion', 'plan'),
        operations: pick(null, null, ['search'], ['search', 'execute']),
      });
    } else if (action < 8) {
      const deducted = await booked(
        deductAt(db, account, now, {
          key,
          amount: 1 + below(pick(5, 60, 200)),
          apiKey: pick(null, 'key a', 'key b'),
          operation: pick(null, 'search', 'execute', 'other'),
        }),
      );
      if (deducted) transactions.push(deducted.transaction_id);
    } else {
      const transaction = transactions[below(transactions.length)] ?? 1;
      const amount = pick(null, 1, 1 + below(40));
      await booked(refundAt(db, account, now, { key, transaction, amount }));
    }
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
  await db.query(
    `begin;
     alter table credits_private.${table} disable trigger user;
     ${statement};
     alter table credits_private.${table} enable trigger user;
     commit`,
  );
}

/** [invariant, subject, expected, actual] */
export type Finding = [string, string, string | null, string | null];

/** What discrepancies says, of one account or of all; times in UTC. */
export async function discrepancies(db: Database, account?: string) {
  const client = await db.connect();
  await client.query(`set time zone 'UTC'`);
  const { rows } = await client.query(
    `select invariant, account_id, expected, actual, subject from credits.discrepancies
     ${account === undefined ? '' : 'where account_id = $1'}
     order by invariant collate "C", subject, expected`,
    account === undefined ? [] : [account],
  );
  await client.end();
  return rows.map((row) => ({
    account: row.account_id as string | null,
    finding: [row.invariant, row.subject, row.expected, row.actual] as Finding,
  }));
}

/**
 * What is found after `breakIt`, in a database of its own with two accounts, `broken` and `healthy`,
 * of the sample's history: of the broken one only, and also when asked for that one only.
 */
export async function findings(breakIt: (db: Database) => Promise<unknown>): Promise<Finding[]> {
  const db = await createDatabase();
  try {
    await Promise.all([writeSample(db, 'broken'), writeSample(db, 'healthy')]);
    expect(await discrepancies(db)).toEqual([]);
    await breakIt(db);
    const found = await discrepancies(db);
    expect(found.filter(({ account }) => account !== 'broken')).toEqual([]);
    expect(await discrepancies(db, 'broken')).toEqual(found);
    expect(await discrepancies(db, 'healthy')).toEqual([]);
    return found.map(({ finding }) => finding);
  } finally {
    await db.drop();
  }
}

/** The same for one statement on one table, in which no guard interferes. */
export const findingsOf = (table: string, statement: string): Promise<Finding[]> =>
  findings((db) => tamper(db, table, statement));

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
