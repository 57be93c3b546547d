import type pg from 'pg';
import type { Log } from '../lib/connect.ts';
import { Failure } from '../lib/explain.ts';
import { ident } from '../lib/roles.ts';
import { readSample } from './compare.ts';
import { objectionsTo } from './gate.ts';
import { lockTables, withLocks } from './locking.ts';
import type { Mapping } from './mapping.ts';
import { asOwner, hasAdoption, type Parties } from './parties.ts';
import { removeShadow } from './shadow.ts';
import { counterSource } from './sources.ts';
import { readTable } from './tables.ts';
import { planViews, sinceOf, type View, viewStatements } from './views.ts';

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
  const incomplete = await incompleteCounters(client, mapping, parties);
  const { views, left } = await planViews(client, mapping, incomplete);
  if (views.length === 0)
    throw new Failure(`no table can be replaced by a view:\n${left.join('\n')}`);
  for (const view of views) await checkReader(client, view, parties);
  const { rows } = await client.query('select pg_catalog.clock_timestamp()::text as now');
  const since: string = rows[0].now;
  const transactions = views.find((view) => view.transactions);
  const report: CutoverReport = {
    since,
    statements: views.flatMap((view) => viewStatements(view, since, parties.user)),
    replaced: views.map(({ table }) => table.name),
    left,
    notes: views.flatMap(notesOf),
    one_way: transactions?.transactions?.impossible ?? [
      `${mapping.transactions.table} stays, and what the ledger books could not be written to it`,
    ],
  };
  return { report, transactions };
}

const notesOf = ({ table, transactions }: View) => [
  ...(transactions?.notes ?? []).map((note) => `${table.name}: ${note}`),
  ...table.readers.map((view) => `view ${view} goes on reading ${table.before}: create it again`),
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
    const { report, transactions } = await planCutover(client, mapping, parties);
    const objections = objectionsTo(await readSample(client, mapping, parties));
    if (objections.length > 0)
      throw new Failure(`the gate is shut, nothing was changed:\n${objections.join('\n')}`);
    // What the old code writes to a table that stays is still mirrored.
    if (transactions) {
      await removeShadow(client, parties);
      if (report.one_way.length === 0) report.one_way = await tryWritingBack(client, transactions);
    }
    if (report.one_way.length > 0 && !oneWay)
      throw new Failure(
        `a rollback would be impossible, nothing was changed:\n${report.one_way.join('\n')}\nto cut over all the same: --one-way`,
      );
    for (const statement of report.statements) await client.query(statement);
    return report;
  });
}

/** Constraints and triggers of the app's may refuse what a rollback has to write: better known now. */
async function tryWritingBack(client: pg.ClientBase, { table, transactions }: View) {
  if (!transactions) return [];
  await client.query('savepoint pg_credits_rollback');
  try {
    await client.query(insertion(table.name, transactions, transactions.samples));
    return [];
  } catch (error) {
    return [`${table.name} would not take a grant or a deduction: ${(error as Error).message}`];
  } finally {
    await client.query('rollback to savepoint pg_credits_rollback');
  }
}

export const insertion = (name: string, of: NonNullable<View['transactions']>, from: string) =>
  `insert into ${name} (${of.written.map((column) => ident(column.name)).join(', ')})
  ${of.rows(from, of.written)}
  order by x.created_at, x.account_id, x.transaction_id`;

/** A view reads what its owner may read. */
async function checkReader(client: pg.ClientBase, { table, reads }: View, { owner }: Parties) {
  for (const name of reads) {
    const { rows } = await client.query(
      `select pg_catalog.has_schema_privilege($1, 'credits', 'usage')
        and pg_catalog.has_table_privilege($1, 'credits.' || $2, 'select') as may`,
      [table.owner, name],
    );
    if (rows[0].may) continue;
    const prefix = /^(.*)credits_owner$/.exec(owner)?.[1] ?? '';
    throw new Failure(
      `${table.owner}, who owns ${table.name}, may not read credits.${name}: an administrator must run: ` +
        `grant ${ident(`${prefix}credits_auditor`)} to ${ident(table.owner)};`,
      '42501',
    );
  }
}

/** The ledger knows no usage from before an opening balance. */
export async function incompleteCounters(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
): Promise<Map<string, string>> {
  const incomplete = new Map<string, string>();
  if (!(await hasAdoption(client))) return incomplete;
  const { rows } = await asOwner(client, parties, () =>
    client.query(
      `select max(a.adopted_at)::text as last from credits_adoption.accounts as a where a.book = 'opening'`,
    ),
  );
  const { last } = rows[0];
  if (last === null) return incomplete;
  for (const counter of mapping.counters) {
    const query = `select exists (select from ${counterSource(counter)} as c
      where c.since is null or c.since < $1::timestamptz) as earlier`;
    if ((await client.query(query, [last])).rows[0].earlier)
      incomplete.set(
        counter.name,
        'it counts from before accounts were adopted with their opening balance, which only --book history knows',
      );
  }
  return incomplete;
}
