import type pg from 'pg';
import { Failure } from '../lib/explain.ts';
import { ident } from '../lib/roles.ts';
import type { Mapping } from './mapping.ts';
import { asOwner, hasAdoption, type Parties } from './parties.ts';
import { counterSource } from './sources.ts';
import type { View } from './views.ts';

/** Constraints and triggers of the app's may refuse what a rollback has to write: better known now. */
export async function tryWritingBack(client: pg.ClientBase, { table, transactions }: View) {
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
export async function checkReader(
  client: pg.ClientBase,
  { table, reads }: View,
  { owner }: Parties,
) {
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
