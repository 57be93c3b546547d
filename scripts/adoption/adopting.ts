import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { codeOf, explain, Failure } from '../lib/explain.ts';
import { plural, printable } from '../lib/format.ts';
import { type Live, readOnly } from '../lib/live.ts';
import type { Signal } from '../lib/running.ts';
import { isPassing } from '../lib/script.ts';
import { Acting } from './acting.ts';
import { describeConflicts } from './adopt-texts.ts';
import { type Batch, bookBatch, type Choice } from './booking.ts';
import { checkMapping } from './check.ts';
import type { Mapping } from './mapping.ts';
import { addDifference, type Differences, makePlan, none, type Plan } from './plan.ts';
import { Progress } from './progress.ts';
import { batchQuery, ofSome } from './reading.ts';
import { ensureAdoption } from './state.ts';

export interface AdoptReport extends Choice {
  accounts: bigint;
  transactions: bigint;
  entries: bigint;
  openings: bigint;
  /** What was booked beside it, up and down. */
  differences: Differences;
  adopted_before: bigint;
  seconds: number;
  /** What ended it while accounts were left; null: none is. */
  stopped_by: Signal | null;
}

export interface AdoptOptions {
  batch: number;
  /** Says what is to be booked, or throws why nothing can be. */
  choose: (plan: Plan) => Choice;
  /** The signal that has come meanwhile, if any: asked after each batch. */
  interrupted: () => Signal | undefined;
  progress: (line: () => string) => void;
}

// Nobody's row security hides rows, and no time-out of the user's ends what takes its time.
const settings = `set local search_path = ''; set local timezone = 'UTC'; set local row_security = off;
  set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres';
  set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0`;

/** What adopt would do; nothing is written. */
export const plan = (client: pg.ClientBase, mapping: Mapping): Promise<Plan> =>
  readOnly(client, (live) => look(client, live, mapping));

async function look(client: pg.ClientBase, live: Live, mapping: Mapping, cursor?: string) {
  const acting = new Acting(client, live);
  await acting.check();
  await client.query(settings);
  await checkMapping(client, mapping);
  return makePlan(client, acting, mapping, cursor);
}

/** Batch by batch, each a transaction of its own, until every account is adopted. */
export async function adopt(
  client: pg.ClientBase,
  mapping: Mapping,
  { batch, choose, interrupted, progress }: AdoptOptions,
): Promise<AdoptReport> {
  const live = await readOnly(client, async (seen) => seen);
  const started = Date.now();
  progress(() => 'reading what the app has');
  // The accounts stay behind in a cursor, on the server: this process need not know them all.
  const found = await inTransaction(client, 'repeatable read, read only', () =>
    look(client, live, mapping, 'scroll cursor with hold'),
  );
  if (found.conflicts.accounts > 0n)
    throw new Failure(['nothing was written', ...describeConflicts(found)].join('\n'));
  const choice = choose(found);
  const query = await inTransaction(client, 'read committed, read write', async () => {
    await ensureAdoption(client);
    return batchQuery(await ofSome(client, mapping), choice.book === 'history');
  });
  const report = emptyReport(choice, found.adopted);
  const work = new Progress(found, choice, progress);
  const acting = new Acting(client, live);
  let analysed = 0n;
  try {
    await client.query('move absolute 0 in accounts');
    for (let ids = await next(client, batch); ids.length > 0; ids = await next(client, batch)) {
      report.stopped_by = interrupted() ?? null;
      if (report.stopped_by) break;
      const book = () => bookBatch(acting, query, choice, ids, (rows) => work.imported(rows));
      add(report, await inTransaction(client, 'read committed, read write', book));
      work.committed(ids.length, report.transactions);
      if (report.accounts <= analysed * 10n) continue;
      analysed = report.accounts;
      await inTransaction(client, 'read committed, read write', () => acting.owner(analyse));
    }
  } catch (error) {
    throw failureOf(error, report);
  } finally {
    await client.query('close accounts').catch(() => {});
  }
  report.seconds = (Date.now() - started) / 1000;
  return report;
}

// Plans that were made while the ledger was empty read all of a table, for each transaction: 1.6 times
// the time, until the server knows how large the tables have become.
const analyse = `analyze credits_private.accounts, credits_private.entries, credits_private.grants,
  credits_private.usage_counters, credits_private.idempotency_keys`;

async function next(client: pg.ClientBase, count: number): Promise<string[]> {
  const { rows } = await client.query(`fetch ${count} from accounts`);
  return rows.map((row) => row.account_id);
}

/** Again, whole, if a lock or a conflict was in the way. */
async function inTransaction<T>(client: pg.ClientBase, level: string, work: () => Promise<T>) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(`begin isolation level ${level}; ${settings}`);
      const result = await work();
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch(() => {});
      if (!isPassing(error) || attempt === 5) throw error;
    }
    await sleep(50 * 2 ** attempt * (0.5 + Math.random()));
  }
}

const emptyReport = (choice: Choice, adoptedBefore: bigint): AdoptReport => ({
  ...choice,
  accounts: 0n,
  transactions: 0n,
  entries: 0n,
  openings: 0n,
  differences: { higher: none(), lower: none() },
  adopted_before: adoptedBefore,
  seconds: 0,
  stopped_by: null,
});

function add(report: AdoptReport, { adopted, entries }: Batch) {
  report.entries += entries;
  for (const { transactions, opening, difference } of adopted) {
    report.accounts += 1n;
    report.transactions += transactions;
    if (opening !== 0n) report.openings += 1n;
    addDifference(report.differences, difference);
  }
}

function failureOf(error: unknown, { accounts }: AdoptReport): Failure {
  const what = aboutAccount(error) ?? aboutPooler(error) ?? explain(error);
  const so =
    accounts === 0n ? 'nothing was adopted' : `${plural(accounts, 'account')} had been adopted`;
  return new Failure(`${what}; ${so}: run it again for the rest`, codeOf(error), { cause: error });
}

/** What the ledger refuses of an account says of which in its detail. */
function aboutAccount(error: unknown): string | undefined {
  try {
    const { account_id, argument } = JSON.parse((error as pg.DatabaseError).detail ?? '');
    const what = argument === undefined ? '' : `${argument.replace(/^p_/, '')}: `;
    return account_id && `account ${printable(account_id)}: ${what}${(error as Error).message}`;
  } catch {
    return undefined;
  }
}

const aboutPooler = (error: unknown) =>
  codeOf(error) === '34000'
    ? 'the connection was another one in between: connect to the server, not to a transaction pooler'
    : undefined;
