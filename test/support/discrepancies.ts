import pg from 'pg';
import { expect } from 'vitest';
import type { Target } from './calls.ts';
import { createDatabase, type Database } from './database.ts';
import { writeSample } from './history.ts';

/** Commits a statement that no guard sees. */
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

/**
 * The discrepancies of one account or of all; times are in UTC. Histories are played at any time,
 * so a clock that is behind them is no discrepancy here.
 */
export async function discrepancies(target: Target, account?: string) {
  const client = target instanceof pg.Client ? target : await readerOf(target);
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

/** The findings in a broken sample: of that account only, and the same when filtered by it. */
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

// Shared by all files that one process runs; the end of the run drops it.
let sample: Promise<Database> | undefined;

/** The same for one statement on one table, which no guard sees and which is undone. */
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
