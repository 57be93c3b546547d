import type pg from 'pg';
import { UsageError } from '../../scripts/shell/explain.ts';
import { randomNumbers } from '../random.ts';
import { type Change, listChanges } from './changes.ts';
import { fillLedger } from './ledger.ts';
import type { Options } from './options.ts';
import { readTables } from './tables.ts';
import { tryChanges } from './trials.ts';
import { unguarded } from './unguarded.ts';
import { untold } from './untold.ts';
import { forgotten, judge, unfilled, type Verdict } from './verdict.ts';

export type Report = { triggers: 'on' | 'off' } & Verdict;
type Settings = Omit<Options, 'help' | 'json' | 'major' | 'url' | 'wait'>;

/** Fills a database that has pg-credits, and changes it in each way; the client is a superuser's. */
export async function mutate(
  client: pg.Client,
  { ways, columns, mutants, mostListed, accounts, steps, seed }: Settings,
  say: (line: string) => void = () => {},
): Promise<Report[]> {
  say('filling a ledger');
  await fillLedger(client, { accounts, steps, seed });
  const tables = await readTables(client);
  const random = randomNumbers(seed);
  const all = new Map(tables.flatMap((table) => [...listChanges(table, random)]));
  const changes = columns ? chosen(all, columns) : all;
  const owner = await ownerOf(client);
  const reports: Report[] = [];
  for (const triggers of ways) {
    const listed = triggers === 'on' ? unguarded : untold;
    const trials = await tryChanges(client, changes, {
      most: mutants,
      mostListed,
      listed,
      role: triggers === 'on' ? owner : undefined,
      progress: (done, of, what) => say(`triggers ${triggers}, ${done} of ${of}: ${what}`),
    });
    const verdict = judge(trials, listed);
    if (!columns) verdict.faults.push(...forgotten(listed, all.keys()), ...unfilled(tables));
    reports.push({ triggers, ...verdict });
  }
  return reports;
}

function chosen(all: Map<string, Change[]>, columns: string[]): Map<string, Change[]> {
  const unknown = columns.find((column) => !all.has(column));
  if (unknown) throw new UsageError(`--columns knows no ${unknown}`);
  return new Map([...all].filter(([what]) => columns.includes(what)));
}

async function ownerOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query(
    `select pg_catalog.pg_get_userbyid(c.relowner) as owner from pg_catalog.pg_class as c
     where c.oid = 'credits_private.accounts'::regclass`,
  );
  return rows[0].owner;
}
