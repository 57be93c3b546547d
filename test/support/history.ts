import { DatabaseError } from 'pg';
import {
  captureAt,
  deductAt,
  extendAt,
  grantAt,
  holdAt,
  overdraftAt,
  refundAt,
  releaseAt,
  revokeAt,
  settleAt,
} from './calls.ts';
import type { Database } from './database.ts';
import { randomNumbers } from './random.ts';
import { DAY, HOUR, us } from './time.ts';

/** The answer, or undefined where the call was refused as a caller's request may be. */
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
  /** Runs between the calls: nothing, or somebody who settles or reads up to that moment. */
  settle?: (from: number, to: number) => Promise<unknown>;
}

/**
 * Calls of every sort that moves or reserves credits, at rising times, some of them refused;
 * returns the moment it ended.
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
  const extend = () => {
    const longer = { hold: someHold(), expiresIn: pick('1 day', '30 days') };
    return extendAt(db, account, now, longer);
  };
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
