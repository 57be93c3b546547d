import type pg from 'pg';
import { explain, Failure, isLostConnection } from '../../shell/explain.ts';
import { asOwner, hasAdoption, type Parties } from '../app/parties.ts';
import { readRefusal } from '../app/refusal.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { reading } from './shadow.ts';

interface FailureRow {
  failure_id: string;
  account_id: string | null;
  transaction_id: string | null;
  sqlstate: string;
  /** As text: what is a number there need not be one of JavaScript's. */
  change: string | null;
  is_unread: boolean;
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

/** Forgets what can never be booked: all of these, or none. */
export const giveUp = (client: pg.ClientBase, parties: Parties, ids: string[]) =>
  inTransaction(client, async () => {
    const there = (await hasAdoption(client)) ? await dropFailures(client, parties, ids) : [];
    const unknown = ids.filter((id) => !there.includes(id));
    if (unknown.length > 0) throw new Failure(`there is no failure ${unknown.join(', ')}`);
  });

const dropFailures = (client: pg.ClientBase, parties: Parties, ids: string[]) =>
  asOwner(client, parties, async (): Promise<string[]> => {
    const { rows } = await client.query(
      'delete from credits_adoption.failures where failure_id = any ($1) returning failure_id::text as id',
      [ids],
    );
    return rows.map(({ id }) => id);
  });

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
      const why = readRefusal(error)?.text ?? explain(error);
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
      `select failure_id, account_id, transaction_id, sqlstate, change::text,
         coalesce(change ? 'unread', false) as is_unread
       from credits_adoption.failures where failure_id > $1 order by failure_id limit 1`,
      [after],
    );
    return rows[0];
  });

async function retry(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
  { failure_id, change, is_unread, sqlstate }: FailureRow,
): Promise<number> {
  if (sqlstate === 'truncated')
    throw new Error(
      `the table was truncated: if by mistake, put its rows back while its trigger _900_pg_credits_shadow is disabled; if not, book by hand what pg-credits compare shows; then --give-up ${failure_id}`,
    );
  const read = is_unread ? await readAgain(client, mapping, change) : change;
  return asOwner(client, parties, async () => {
    const { rows } = await client.query(
      'select credits_adoption.retry_failure($1, $2::jsonb) as booked',
      [failure_id, read],
    );
    return rows[0].booked;
  });
}

/** What the trigger could not read, by the mapping as it is now. */
async function readAgain(client: pg.ClientBase, mapping: Mapping, change: string | null) {
  const { table } = mapping.transactions;
  await checkColumns(client, table, change);
  const row = (which: 'old' | 'new') => {
    const recorded = `nullif($1::jsonb #> '{unread,${which}}', 'null')`;
    return reading(
      mapping,
      `select p.* from pg_catalog.jsonb_populate_record(null::${table}, ${recorded}) as p where ${recorded} is not null`,
    );
  };
  const { rows } = await client.query(
    `select pg_catalog.jsonb_build_object('old', ${row('old')}, 'new', ${row('new')})::text as change`,
    [change],
  );
  return rows[0].change;
}

/** A column that was renamed since would be read as if the row had nothing there. */
async function checkColumns(client: pg.ClientBase, table: string, change: string | null) {
  const { rows } = await client.query(
    `select pg_catalog.string_agg(r.name, ', ') filter (where t.name is null) as gone,
      pg_catalog.string_agg(t.name, ', ') filter (where r.name is null) as missing
    from (
      select distinct k.name from pg_catalog.jsonb_each($1::jsonb -> 'unread') as u
      cross join pg_catalog.jsonb_object_keys(nullif(u.value, 'null')) as k (name)
    ) as r
    full join (
      select a.attname::text as name from pg_catalog.pg_attribute as a
      where a.attrelid = $2::pg_catalog.regclass and a.attnum > 0 and not a.attisdropped
    ) as t using (name)`,
    [change, table],
  );
  const { gone, missing } = rows[0];
  if (gone !== null && missing !== null)
    throw new Error(
      `it was recorded with ${gone}, which ${table} has no more, and without ${missing}: rename the column in its change in credits_adoption.failures`,
    );
}
