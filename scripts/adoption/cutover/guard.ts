import pg from 'pg';
import { ident } from '../../postgres/roles.ts';
import type { Table } from './tables.ts';

// A function with a parsed body, a rule and a policy are bound to the table, not to its name, and go on with the one
// that stepped aside. What they would write there is in no ledger, and nobody would know.

const trigger = '_900_pg_credits_guard';

/**
 * Writes to the table that stepped aside fail, to figures or to transactions. What another table's foreign key does
 * to rows, as when a user is deleted, is no spending.
 */
export function guardStatements(
  { table, figures }: { table: Table; figures: Map<string, string> | null },
  since: string,
): string[] {
  const { before } = table;
  const message = `${before} is no longer written to: the ledger has its credits since ${since}`;
  const hint = `Call credits.deduct_credits or credits.grant_credits. A function, rule or policy that was made before means ${before}: create it again, and it means ${table.name}.`;
  const body = `begin
  raise exception using errcode = '55000', message = ${pg.escapeLiteral(message)}, hint = ${pg.escapeLiteral(hint)};
end`;
  const run = `on ${before} for each row`;
  const create = (name: string, events: string, when = '') =>
    `create trigger ${ident(trigger + name)} before ${events} ${run}${when} execute function ${before}()`;
  const byHand = ' when (pg_catalog.pg_trigger_depth() = 0)';
  return [
    `create function ${before}() returns trigger language plpgsql set search_path = pg_temp as ${pg.escapeLiteral(body)}`,
    ...(figures
      ? [create('', `update of ${[...figures.keys()].map(ident).join(', ')}`)]
      : [create('', 'insert'), create('_changes', 'update or delete', byHand)]),
  ];
}

/** There is none where an earlier release cut over. */
export const dropGuard = ({ before }: Table) =>
  `drop trigger if exists ${ident(trigger)} on ${before};
  drop trigger if exists ${ident(`${trigger}_changes`)} on ${before};
  drop function if exists ${before}()`;
