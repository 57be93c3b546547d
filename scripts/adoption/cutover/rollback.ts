import type pg from 'pg';
import { Failure } from '../../shell/explain.ts';
import type { Log } from '../../shell/terminal.ts';
import { withLocks } from '../app/locks.ts';
import { asOwner, hasAdoption, type Parties } from '../app/parties.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { installShadow } from '../shadow/install.ts';
import { mappedTables } from './cutover.ts';
import { dropGuard } from './guard.ts';
import { adoptNewcomers, type Booked, readBooked } from './newcomers.ts';
import { checkWritten } from './rollback-checks.ts';
import { readTable, type Table } from './tables.ts';
import { planViews, sinceOf, type View } from './views.ts';
import { countRows, writeFigures, writeTransactions } from './write-back.ts';

export interface RollbackReport {
  since: string;
  restored: string[];
  /** New transactions that the tables did not have. */
  transactions: number;
  /** Rows whose figures were set. */
  figures: number;
  /** Accounts that the app has no row of, or no balance. */
  homeless: Booked[];
}

/** One transaction: the tables in their places, with what happened since, and the shadow on. */
export async function rollback(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
  log: Log,
): Promise<RollbackReport> {
  if (!(await hasAdoption(client)))
    throw new Failure(
      'nothing to roll back: nothing was adopted here, or shadow remove --forget has forgotten it',
    );
  const names = mappedTables(mapping);
  return withLocks(client, parties, names, log, async () => {
    const views: Table[] = [];
    for (const name of names) {
      const table = await readTable(client, name);
      const known = views.some((view) => view.name === table?.name);
      if (table && sinceOf(table) && !known) views.push(table);
    }
    const since = sinceOf(views[0]);
    if (!since) throw new Failure('nothing to do: no view stands where a table was');
    const figuresIn = new Map<string, Set<string>>();
    for (const { name } of views) figuresIn.set(name, await figuresOf(client, name));
    await putBack(client, views);
    // No call is under way from here on: its credits would be in neither of the two.
    await asOwner(client, parties, () =>
      client.query('lock table credits_private.accounts in exclusive mode'),
    );
    const plan = await planViews(client, mapping, async (_counter, { name }, _figure, table) =>
      figuresIn.get(table.name)?.has(name) ? undefined : 'it stayed',
    );
    const restored = new Set(views.map(({ name }) => name));
    const back = plan.views.filter(({ table }) => restored.has(table.name));
    const { table, of } = transactionsOf(back);
    const before = await countRows(client, table.name);
    // Before the figures: a trigger of the app's may add to a balance what is inserted here.
    const transactions = await writeTransactions(client, table, of, since);
    const figures = await writeFigures(client, back);
    await adoptNewcomers(client, mapping, parties, since);
    const booked = await readBooked(client, mapping, since);
    await checkWritten(client, mapping, parties, back, booked, {
      written: transactions,
      found: (await countRows(client, table.name)) - before,
    });
    await installShadow(client, mapping, parties);
    const homeless = booked.filter(({ written, shown }) => !written || !shown);
    return { since, restored: [...restored], transactions, figures, homeless };
  });
}

/** The columns that a view of ours has from the ledger, none of which can be written. */
async function figuresOf(client: pg.ClientBase, view: string): Promise<Set<string>> {
  const { rows } = await client.query(
    `select a.attname as name from pg_catalog.pg_attribute as a
     where a.attrelid = pg_catalog.to_regclass($1) and a.attnum > 0
       and not pg_catalog.pg_column_is_updatable(a.attrelid, a.attnum, false)`,
    [view],
  );
  return new Set(rows.map(({ name }) => name));
}

async function putBack(client: pg.ClientBase, views: Table[]) {
  try {
    await client.query(`drop view ${views.map(({ name }) => name).join(', ')}`);
  } catch (error) {
    const { code, message, detail } = error as pg.DatabaseError;
    if (code !== '2BP01') throw error;
    throw new Failure(`${message}: drop these first: ${detail}`, code, { cause: error });
  }
  for (const view of views) {
    await client.query(dropGuard(view));
    await client.query(`alter table ${view.before} rename to ${view.ownIdent}`);
  }
}

function transactionsOf(views: View[]) {
  const view = views.find(({ transactions }) => transactions);
  const of = view?.transactions;
  if (!view || !of || of.impossible.length > 0)
    throw new Failure(
      `a rollback is impossible, nothing was changed:\n${of ? of.impossible.join('\n') : 'the table of transactions was not replaced'}`,
    );
  return { table: view.table, of };
}
