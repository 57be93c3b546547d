import type pg from 'pg';
import { Failure } from '../../shell/explain.ts';
import type { Log } from '../../shell/terminal.ts';
import { lockTables, withLocks } from '../app/locks.ts';
import type { Parties } from '../app/parties.ts';
import { readSample } from '../compare/compare.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { removeShadow } from '../shadow/install.ts';
import { checkReader, counterObjections } from './checks.ts';
import { objectionsTo } from './gate.ts';
import { readTable } from './tables.ts';
import { planViews, sinceOf, type View, viewStatements } from './views.ts';
import { tryWritingBack } from './write-back.ts';

export interface CutoverReport {
  since: string;
  statements: string[];
  replaced: string[];
  /** What stays as it is, and why. */
  left: string[];
  notes: string[];
  /** Why there is no way back; empty: there is one. */
  one_way: string[];
}

/** The tables whose figures move to the ledger. */
export const mappedTables = ({ transactions, balances, counters }: Mapping): string[] => [
  ...new Set(
    [transactions, ...(balances ? [balances] : []), ...counters].map((part) => part.table),
  ),
];

/** What would be done, in the caller's transaction. */
export async function planCutover(client: pg.ClientBase, mapping: Mapping, parties: Parties) {
  for (const name of mappedTables(mapping)) {
    const since = sinceOf(await readTable(client, name));
    if (since) throw new Failure(`nothing to do: ${name} was cut over at ${since}`);
  }
  const objection = await counterObjections(client, parties);
  const { views, left } = await planViews(client, mapping, objection);
  if (views.length === 0)
    throw new Failure(`no table can be replaced by a view:\n${left.join('\n')}`);
  for (const view of views) await checkReader(client, view, parties);
  const { rows } = await client.query('select pg_catalog.clock_timestamp()::text as now');
  const since: string = rows[0].now;
  const transactions = views.find((view) => view.transactions)?.transactions;
  const report: CutoverReport = {
    since,
    statements: views.flatMap((view) => viewStatements(view, since, parties.user)),
    replaced: views.map(({ table }) => table.name),
    left,
    notes: [...views.flatMap(notesOf), noKeys],
    one_way: transactions?.impossible ?? [
      `${mapping.transactions.table} stays, and what the ledger books could not be written to it`,
    ],
  };
  return { report, views };
}

const noKeys =
  'a view has no primary key: a query that groups by that of its table must group by whatever else it selects, too; and copy X to becomes copy (select * from X) to';

const notesOf = ({ table, transactions }: View) => [
  ...(transactions?.notes ?? []).map((note) => `${table.name}: ${note}`),
  ...table.readers.map((reader) => `${reader} goes on with ${table.before}: create it again`),
  // To what is no figure, rows are still added there.
  ...(transactions ? table.referrers : []).map(
    (key) =>
      `${key} points to ${table.before}, which has no new transactions: drop it, or a write that names one fails`,
  ),
];

/** One transaction: the last comparison, with writers locked out, and the views in the tables' places. */
export async function cutover(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
  { oneWay, log }: { oneWay: boolean; log: Log },
): Promise<CutoverReport> {
  const names = mappedTables(mapping);
  return withLocks(client, parties, names, log, async () => {
    await lockTables(client, parties, names);
    const { report, views } = await planCutover(client, mapping, parties);
    const objections = objectionsTo(await readSample(client, mapping, parties));
    if (objections.length > 0)
      throw new Failure(`the gate is shut, nothing was changed:\n${objections.join('\n')}`);
    // What the old code writes to a table that stays is still mirrored.
    if (views.some((view) => view.transactions)) await removeShadow(client, parties);
    if (report.one_way.length === 0) {
      const { refused, notes } = await tryWritingBack(client, views);
      report.one_way = refused;
      report.notes.push(...notes);
    }
    if (report.one_way.length > 0 && !oneWay)
      throw new Failure(
        `a rollback would be impossible, nothing was changed:\n${report.one_way.join('\n')}\nto cut over all the same: --one-way`,
      );
    for (const statement of report.statements) await client.query(statement);
    return report;
  });
}
