import pg from 'pg';
import { callAt, deductAt, grantAt, overdraftAt, refundAt } from '../support/calls.ts';
import type { Database } from '../support/database.ts';
import { randomNumbers } from '../support/random.ts';
import { DAY, HOUR, moment, us } from '../support/time.ts';

/** A transaction as an app kept it, and as the import takes it. */
export interface Legacy {
  id: string;
  amount: number;
  /** Microseconds since 1970. */
  at: number;
  isRefund?: boolean;
  refunded?: string;
  kind?: string;
  apiKey?: string;
  operation?: string;
  run?: string;
}

/**
 * From 2024-01-20 on: credits, debits beyond the balance, refunds of all sorts, ties, zeros; over
 * months.
 */
export function randomHistory(
  seed: number,
  count: number,
  start = us('2024-01-20T12:00:00Z'),
): Legacy[] {
  const { below, pick } = randomNumbers(seed);
  let at = start;
  return Array.from({ length: count }, (_, i) => {
    if (i > 0) at += pick(0, 1, 900, HOUR, DAY, 9 * DAY);
    const id = idOf(i);
    const use = { apiKey: pick('', 'key a', 'key b'), operation: pick('', '/search', '/execute') };
    return pick<() => Legacy>(
      () => ({ id, at, amount: -below(90), ...use, run: pick('', 'run 1') }),
      () => ({ id, at, amount: -1 - below(30), ...use }),
      () => ({ id, at, amount: 1 + below(120), kind: pick('', 'purchase', 'bonus') }),
      () => ({ id, at, amount: 1 + below(30), isRefund: true, refunded: idOf(below(i + 3)) }),
    )();
  });
}

// In the order of their moments, as texts too: two of a moment come in the order of their ids.
const idOf = (i: number) => `t${String(i + 1).padStart(4, '0')}`;

/** What the import takes, as JSON. */
export const rowsOf = (history: Legacy[]) =>
  JSON.stringify(
    history.map(({ id, amount, at, isRefund, refunded, kind, apiKey, operation, run }) => ({
      transaction_id: id,
      amount,
      created_at: moment(at),
      is_refund: isRefund,
      refunded_transaction_id: refunded,
      kind,
      api_key_id: apiKey,
      operation,
      run_id: run,
    })),
  );

export interface Settings {
  unit?: string;
  scale?: number;
  zone?: string;
  anchor?: number;
}

export async function importHistory(
  db: Database,
  account: string,
  history: Legacy[],
  { unit, scale, zone, anchor }: Settings = {},
) {
  const { may } = await db.one('select credits_private.begin_import($1) as may', [account]);
  if (!may) throw new Error(`${account} is in use`);
  const first = moment(Math.min(...history.map(({ at }) => at)));
  await db.one('select credits_private.set_beginning($1, $2, $3, $4, $5, $6)', [
    account,
    unit,
    scale,
    zone,
    anchor,
    first,
  ]);
  return importRows(db, account, history);
}

export const importRows = async (db: Database, account: string, history: Legacy[]) =>
  (
    await db.one('select credits_private.import_transactions($1, $2::jsonb) as count', [
      account,
      rowsOf(history),
    ])
  ).count;

/**
 * The same by the public functions, one call for each transaction, as an app would have made them
 * then.
 */
export async function callHistory(
  db: Database,
  account: string,
  history: Legacy[],
  { unit, scale, zone, anchor }: Settings = {},
) {
  await callAt(db, 'open_account', history[0]?.at ?? 0, {
    ...{ p_account_id: account, p_unit: unit, p_scale: scale },
    ...{ p_time_zone: zone, p_anchor_day: anchor },
  });
  const deductions = new Map<string, { transaction: number; left: number }>();
  for (const each of history) {
    const { id, at, amount } = each;
    const key = `legacy ${id}`;
    if (amount < 0) {
      const transaction = await deductOrOwe(db, account, each, key);
      deductions.set(id, { transaction, left: -amount });
    } else if (amount > 0) {
      const original = each.isRefund ? deductions.get(each.refunded ?? '') : undefined;
      if (original && original.left >= amount) {
        original.left -= amount;
        await refundAt(db, account, at, { key, amount, transaction: original.transaction });
      } else {
        const source = each.kind || (each.isRefund ? 'refund' : 'legacy');
        await grantAt(db, account, at, { key, amount, source });
      }
    }
  }
}

async function deductOrOwe(db: Database, account: string, legacy: Legacy, key: string) {
  const { at, amount, apiKey, operation, run } = legacy;
  const deduction = {
    key,
    amount: -amount,
    apiKey: apiKey || null,
    operation: operation || null,
    run: run || null,
  };
  try {
    return (await deductAt(db, account, at, deduction)).transaction_id;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== 'PT402') throw error;
  }
  const { available, debt } = await db.one(
    'select available, debt from credits_private.figures($1, null, $2)',
    [account, moment(at)],
  );
  await overdraftAt(db, account, at, debt - amount - available);
  const { transaction_id } = await deductAt(db, account, at, deduction);
  await overdraftAt(db, account, at, 0);
  return transaction_id;
}

const tables = ['accounts', 'grants', 'entries', 'usage_counters', 'idempotency_keys'];

/** All that the ledger has of an account, without its id, metadata and the given columns. */
export async function ledgerOf(db: Database, account: string, without: string[] = []) {
  const ledger: Record<string, unknown> = {};
  for (const table of tables) {
    const rows = await db.query(
      `select to_jsonb(t) - 'account_id' - 'metadata' - $2::text[] as row
       from credits_private.${table} as t where t.account_id = $1 order by (to_jsonb(t) - 'metadata')::text`,
      [account, without],
    );
    ledger[table] = rows.map(({ row }) => row);
  }
  return ledger;
}
