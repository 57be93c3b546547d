import type pg from 'pg';

/** A mark for each table of the system catalogue, which changes when any of its rows does. */
export type Marks = Record<string, string>;

/**
 * A row that was written again has another xmin or another place, whatever it says: equal marks mean the same rows, not
 * just the same schema. The marks include roles, and what deploys record in their own tables.
 */
export async function readMarks(client: pg.Client): Promise<Marks> {
  const { rows: tables } = await client.query(
    `select c.oid::regclass::text as name from pg_class c
     where c.relkind = 'r' and (c.relnamespace = 'pg_catalog'::regnamespace
         and c.relname not like 'pg_statistic%'
       or c.oid in (to_regclass('credits_private.migrations'),
         to_regclass('credits_private.applied_files')))`,
  );
  const marks = tables.map(
    ({ name }) => `select '${name}' as name, count(*) || ' rows, ' || coalesce(
      md5(string_agg(xmin::text || ctid::text, ' ' order by ctid)), '') as mark from ${name}`,
  );
  const { rows } = await client.query(marks.join(' union all '));
  return Object.fromEntries(rows.map(({ name, mark }) => [name, mark]));
}

/** The tables whose marks differ. */
export const changedMarks = (before: Marks, after: Marks): string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (name) => before[name] !== after[name],
  );
