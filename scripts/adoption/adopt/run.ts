import type pg from 'pg';
import { codeOf, explain, Failure } from '../../shell/explain.ts';
import { plural, printable } from '../../shell/format.ts';
import type { Signal } from '../../shell/signals.ts';
import { Acting } from '../app/actor.ts';
import { type Parties, readAsUser, readParties } from '../app/parties.ts';
import { batchQuery, ofSome } from '../app/queries.ts';
import { readRefusal } from '../app/refusal.ts';
import { ensureAdoption } from '../app/state.ts';
import { inTransaction, settings } from '../app/transaction.ts';
import { checkMapping } from '../mapping/check.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { type Batch, bookBatch } from './batch.ts';
import { begunAsHistory, type Choice } from './import.ts';
import { importPieces } from './pieces.ts';
import { addDifference, type FiguresRow, makePlan, none, type Plan } from './plan.ts';
import { Progress } from './progress.ts';
import { type AdoptReport, begun, describeConflicts } from './text.ts';

export interface AdoptOptions {
  batch: number;
  /** Of an account that has more transactions, so many are committed at a time. */
  piece?: number;
  /** Says what is to be booked, or throws why nothing can be. */
  choose: (plan: Plan) => Choice;
  /** The signal that has come meanwhile, if any: asked after each batch and piece. */
  interrupted: () => Signal | undefined;
  progress: (line: () => string) => void;
}

// Short enough that the app's write, which waits for the account with a shadow on, does not give up.
const rowsOfPiece = 250;

/** What adopt would do; nothing is written. */
export async function plan(client: pg.ClientBase, mapping: Mapping): Promise<Plan> {
  const parties = await readParties(client);
  return readAsUser(client, parties, () => look(client, parties, mapping));
}

async function look(client: pg.ClientBase, parties: Parties, mapping: Mapping, cursor?: string) {
  const acting = new Acting(client, parties);
  await acting.check();
  await client.query(settings);
  await checkMapping(client, mapping);
  return makePlan(client, acting, mapping, cursor);
}

/** Batch by batch, each a transaction of its own, until every account is adopted. */
export async function adopt(
  client: pg.ClientBase,
  mapping: Mapping,
  { batch, piece = rowsOfPiece, choose, interrupted, progress }: AdoptOptions,
): Promise<AdoptReport> {
  const parties = await readParties(client);
  const started = Date.now();
  progress(() => 'reading what the app has');
  // The accounts stay behind in a cursor, on the server: this process need not know them all.
  const found = await inTransaction(client, 'repeatable read, read only', () =>
    look(client, parties, mapping, 'scroll cursor with hold'),
  );
  if (found.conflicts.accounts > 0n)
    throw new Failure(['nothing was written', ...describeConflicts(found)].join('\n'));
  const choice = choose(found);
  if (found.begun > 0n && choice.book !== 'history')
    throw new Failure(`nothing was written\n${begunAsHistory(begun(found))}`);
  const query = await inTransaction(client, 'read committed, read write', async () => {
    await ensureAdoption(client);
    return batchQuery(await ofSome(client, mapping), choice.book === 'history');
  });
  const report = emptyReport(choice, found.adopted);
  const work = new Progress(found, choice, progress);
  const acting = new Acting(client, parties);
  const size = choice.book === 'history' ? piece : Infinity;
  const imported = (rows: number) => work.imported(rows);
  const pieces = { query, choice, size, interrupted, imported };
  try {
    await client.query('move absolute 0 in accounts');
    for (let some = await next(client, batch); some.length > 0; some = await next(client, batch)) {
      for (const { account_id: id, transactions } of some)
        if (Number(transactions) > size) await importPieces(client, acting, id, pieces);
      report.stopped_by = interrupted() ?? null;
      if (report.stopped_by) break;
      const ids = some.map((row) => row.account_id);
      const book = () => bookBatch(acting, query, choice, ids, imported);
      const booked = await inTransaction(client, 'read committed, read write', book);
      add(report, booked);
      work.committed(ids.length, report.transactions);
    }
  } catch (error) {
    throw failureOf(error, report);
  } finally {
    await client.query('close accounts').catch(() => {});
  }
  report.seconds = (Date.now() - started) / 1000;
  return report;
}

const next = async (client: pg.ClientBase, count: number): Promise<FiguresRow[]> =>
  (await client.query(`fetch ${count} from accounts`)).rows;

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

function aboutAccount(error: unknown): string | undefined {
  const refusal = readRefusal(error);
  return refusal?.account_id && `account ${printable(refusal.account_id)}: ${refusal.text}`;
}

const aboutPooler = (error: unknown) =>
  codeOf(error) === '34000'
    ? 'the connection was another one in between: connect to the server, not to a transaction pooler'
    : undefined;
