import type pg from 'pg';
import { ident } from '../lib/roles.ts';
import { withOwnPath } from './locking.ts';
import { ours, type View } from './views.ts';

// What a rollback writes to the app's tables. The app's triggers run meanwhile.

/** Constraints and triggers of the app's may refuse what a rollback has to write: better known now. */
export async function tryWritingBack(client: pg.ClientBase, views: View[]): Promise<string[]> {
  const refused: string[] = [];
  for (const view of views) {
    await client.query('savepoint pg_credits_rollback');
    try {
      await withOwnPath(client, () => client.query(attempt(view)));
    } catch (error) {
      refused.push(
        `${view.table.name} would not take ${view.figures ? 'another figure' : 'a grant or a deduction'}: ${(error as Error).message}`,
      );
    }
    await client.query('rollback to savepoint pg_credits_rollback');
  }
  return refused;
}

function attempt({ table, figures, transactions }: View): string {
  if (transactions) return insertion(table.name, transactions, transactions.samples);
  const set = [...(figures ?? [])].map(([column, sql]) => `${ident(column)} = ${sql} + 1`);
  return `update ${table.name} as t set ${set.join(', ')}
    where t.ctid = any (array(select x.ctid from ${table.name} as x limit 1))`;
}

const insertion = (name: string, of: NonNullable<View['transactions']>, from: string) =>
  `insert into ${name} (${of.written.map((column) => ident(column.name)).join(', ')})
  ${of.rows(from, of.written)}
  order by x.created_at, x.account_id, x.transaction_id`;

/** New transactions, and how many they are. */
export async function writeTransactions(
  client: pg.ClientBase,
  table: string,
  of: NonNullable<View['transactions']>,
  since: string,
): Promise<number> {
  const query = insertion(table, of, ours(since));
  const { rowCount } = await withOwnPath(client, () => client.query(query));
  return rowCount ?? 0;
}

/** What the ledger says, in each row that says something else. Returns how many there were. */
export async function writeFigures(client: pg.ClientBase, views: View[]): Promise<number> {
  let rows = 0;
  for (const { table, figures } of views) {
    if (!figures) continue;
    const set = [...figures].map(([column, sql]) => `${ident(column)} = ${sql}`);
    const differs = [...figures].map(
      ([column, sql]) => `t.${ident(column)} is distinct from ${sql}`,
    );
    const query = `update ${table.name} as t set ${set.join(', ')} where ${differs.join(' or ')}`;
    const { rowCount } = await withOwnPath(client, () => client.query(query));
    rows += rowCount ?? 0;
  }
  return rows;
}
