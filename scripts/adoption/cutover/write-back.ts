import type pg from 'pg';
import { ident } from '../../postgres/roles.ts';
import { isPassing } from '../../postgres/script.ts';
import { Failure, isLostConnection } from '../../shell/explain.ts';
import { withOwnPath } from '../app/locks.ts';
import type { Table } from './tables.ts';
import { ours, type View } from './views.ts';

// What a rollback writes to the app's tables. The app's triggers run meanwhile.

/** Constraints and triggers of the app's may refuse what a rollback has to write: better known now. */
export async function tryWritingBack(client: pg.ClientBase, views: View[]) {
  const found = { refused: [] as string[], notes: [] as string[] };
  const log = views.find(({ transactions }) => transactions)?.table.name;
  const before = log === undefined ? 0 : await countRows(client, log);
  for (const view of views) {
    await client.query('savepoint pg_credits_rollback');
    try {
      await withOwnPath(client, () => client.query(attempt(view)));
      if (view.figures && log !== undefined && (await countRows(client, log)) !== before)
        found.notes.push(
          `before a rollback, disable what writes to ${log} when ${view.table.name} is written to: ${(await triggersOf(client, [view])).join(', ')}`,
        );
    } catch (error) {
      if (isPassing(error) || isLostConnection(error)) throw error;
      found.refused.push(
        `${view.table.name} would not take ${view.figures ? 'another figure' : 'a grant or a deduction'}: ${(error as Error).message}`,
      );
    }
    await client.query('rollback to savepoint pg_credits_rollback');
  }
  return found;
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
export const writeTransactions = (
  client: pg.ClientBase,
  table: Table,
  of: NonNullable<View['transactions']>,
  since: string,
): Promise<number> => write(client, table, insertion(table.name, of, ours(since)));

async function write(client: pg.ClientBase, table: Table, query: string): Promise<number> {
  try {
    const { rowCount } = await withOwnPath(client, () => client.query(query));
    return rowCount ?? 0;
  } catch (error) {
    throw isPassing(error) || isLostConnection(error) ? error : refusal(table, error as Error);
  }
}

/** Whoever rolls back is in a hurry: what refused which row, and what can be done. */
function refusal({ name, before }: Table, error: Error) {
  const { code, schema, table, constraint, detail, where } = error as pg.DatabaseError;
  const at = schema && table ? `${ident(schema)}.${ident(table)}` : name;
  // By now the table has its name again, but what is thrown here takes that back.
  const there = same(at, name) ? before : at;
  const way = constraint
    ? `drop the constraint or index ${ident(constraint)} of ${there}, run this again, and mend the rows then`
    : `mend that in ${there}, or disable the trigger that raised it, and run this again`;
  const lines = [error.message, detail, where && `in ${where.split('\n', 1)[0]}`, way];
  return new Failure(
    `nothing was changed: ${name} does not take what the ledger has:\n${lines.filter(Boolean).join('\n')}`,
    code,
    { cause: error },
  );
}

const same = (a: string, b: string) => a.replaceAll('"', '') === b.replaceAll('"', '');

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
    rows += await write(client, table, query);
  }
  return rows;
}

export async function countRows(client: pg.ClientBase, table: string): Promise<number> {
  const { rows } = await client.query(`select count(*) as count from ${table}`);
  return Number(rows[0].count);
}

/** The app's own, with the table's name while a view has its place. */
export async function triggersOf(client: pg.ClientBase, views: View[]): Promise<string[]> {
  const { rows } = await client.query(
    `select pg_catalog.format('%I on %s', t.tgname, n.before) as trigger
     from unnest($1::text[], $2::text[]) as n (name, before)
     join pg_catalog.pg_trigger as t on t.tgrelid = pg_catalog.to_regclass(n.name)
     where not t.tgisinternal and t.tgenabled <> 'D' and t.tgname !~ '^_\\d+_pg_credits_'
     order by n.name, t.tgname`,
    [views.map(({ table }) => table.name), views.map(({ table }) => table.before)],
  );
  return rows.map(({ trigger }) => trigger);
}
