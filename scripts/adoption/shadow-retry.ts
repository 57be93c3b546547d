import type pg from 'pg';
import { explain, isLostConnection } from '../lib/explain.ts';
import type { Mapping } from './mapping.ts';
import { asOwner, hasAdoption, type Parties } from './parties.ts';
import { source } from './sources.ts';

interface FailureRow {
  failure_id: string;
  account_id: string | null;
  transaction_id: string | null;
  sqlstate: string;
  change: { unread?: { old: unknown; new: unknown } } | null;
}

export interface Left {
  failure_id: number;
  account_id: string | null;
  transaction_id: string | null;
  why: string;
}

export interface RetryReport {
  booked: number;
  /** Adopt has read the write, or will. */
  not_needed: number;
  left: Left[];
}

/** Each failure in a transaction of its own, in order: one that fails again does not stop the next. */
export async function retryFailures(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
): Promise<RetryReport> {
  const report: RetryReport = { booked: 0, not_needed: 0, left: [] };
  if (!(await hasAdoption(client))) return report;
  for (let after = '0'; ; ) {
    const row = await inTransaction(client, () => nextFailure(client, parties, after));
    if (!row) return report;
    after = row.failure_id;
    const { failure_id, account_id, transaction_id } = row;
    try {
      const booked = await inTransaction(client, () => retry(client, mapping, parties, row));
      if (booked > 0) report.booked += 1;
      else report.not_needed += 1;
    } catch (error) {
      if (isLostConnection(error)) throw error;
      const why = explain(error);
      report.left.push({ failure_id: Number(failure_id), account_id, transaction_id, why });
    }
  }
}

async function inTransaction<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query(
    `begin isolation level read committed, read write;
    set local search_path = ''; set local timezone = 'UTC'; set local lock_timeout = '5s'`,
  );
  try {
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

const nextFailure = (client: pg.ClientBase, parties: Parties, after: string) =>
  asOwner(client, parties, async (): Promise<FailureRow | undefined> => {
    const { rows } = await client.query(
      `select failure_id, account_id, transaction_id, change, sqlstate
       from credits_adoption.failures where failure_id > $1 order by failure_id limit 1`,
      [after],
    );
    return rows[0];
  });

async function retry(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
  { failure_id, change, sqlstate }: FailureRow,
): Promise<number> {
  if (sqlstate === 'truncated')
    throw new Error(
      'the table was truncated: see what pg-credits compare says, book what is due by hand, then delete this row of credits_adoption.failures',
    );
  const read = change?.unread ? await readAgain(client, mapping, change.unread) : change;
  return asOwner(client, parties, async () => {
    const { rows } = await client.query(
      'select credits_adoption.retry_failure($1, $2::jsonb) as booked',
      [failure_id, JSON.stringify(read)],
    );
    return rows[0].booked;
  });
}

/** Of a row that the trigger could not read: by the mapping as it is now. */
async function readAgain(
  client: pg.ClientBase,
  mapping: Mapping,
  rows: { old: unknown; new: unknown },
) {
  const { table } = mapping.transactions;
  const row = `(select (pg_catalog.jsonb_populate_record(null::${table}, $1)).*)`;
  const from = source(
    { ...mapping, transactions: { ...mapping.transactions, table: row } },
    'transactions',
  );
  const read = async (value: unknown) => {
    if (value === null) return null;
    const query = `select pg_catalog.to_jsonb(r) as row from ${from} as r`;
    return (await client.query(query, [JSON.stringify(value)])).rows[0]?.row ?? null;
  };
  return { old: await read(rows.old), new: await read(rows.new) };
}
