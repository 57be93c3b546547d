import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { Failure } from '../../scripts/shell/explain.ts';

export const runSql = (client: pg.Client, name: string) =>
  client.query(readFileSync(new URL(name, import.meta.url), 'utf8'));

/** Skips empty tables: with statistics that say so, sessions would plan to scan them whole. */
export async function vacuum(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    `select string_agg(oid::regclass::text, ', ') as tables from pg_class
     where relkind = 'r' and pg_relation_size(oid) > 0 and relnamespace in (
       select oid from pg_namespace where nspname in ('bench', 'credits_private'))`,
  );
  await client.query(`vacuum analyze ${rows[0].tables}`);
}

/** Makes a checkpoint, if we may, so that none begins during a measurement. */
export async function checkpoint(client: pg.Client): Promise<void> {
  await client.query('checkpoint').catch((error: pg.DatabaseError) => {
    if (error.code !== '42501') throw error;
  });
}

/** Decides whether commits of new sessions wait for the disk. */
export async function flushCommits(client: pg.Client, isFlushed: boolean): Promise<void> {
  const change = isFlushed ? 'reset synchronous_commit' : 'set synchronous_commit = off';
  await client.query(`alter database ${client.database} ${change}`);
}

export async function checkDiscrepancies(client: pg.Client): Promise<void> {
  const { rows } = await client.query('select invariant, account_id from credits.discrepancies');
  const [first] = rows;
  if (first)
    throw new Failure(`${rows.length} discrepancies: ${first.invariant} of ${first.account_id}, …`);
}
