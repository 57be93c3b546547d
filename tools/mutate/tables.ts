import type pg from 'pg';

export interface Column {
  name: string;
  type: string;
  nullable: boolean;
}

export interface Table {
  name: string;
  columns: Column[];
  /** Columns of the primary key, account_id first. */
  key: string[];
  /** The key of each row as literals in SQL, rows of one sort together. */
  sorts: string[][][];
}

/**
 * Every table with accounts' rows, from the catalogue: a new table is mutated without being named here, once the
 * ledger has a row of it.
 */
export async function readTables(client: pg.Client): Promise<Table[]> {
  const { rows } = await client.query(`
    select c.relname as name,
      array(
        select a.attname::text from pg_catalog.unnest(k.conkey) with ordinality as n (attnum, at)
        join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = n.attnum
        order by n.at) as key,
      (select json_agg(json_build_object('name', a.attname,
          'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'nullable', not a.attnotnull)
          order by a.attnum)
        from pg_catalog.pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
    from pg_catalog.pg_class as c
    join pg_catalog.pg_constraint as k on k.conrelid = c.oid and k.contype = 'p'
    where c.relnamespace = 'credits_private'::regnamespace and c.relkind in ('r', 'p')
      and exists (select from pg_catalog.pg_attribute as a
        where a.attrelid = c.oid and a.attname = 'account_id')
    order by c.relname`);
  const tables: Table[] = [];
  for (const { name, key, columns } of rows)
    tables.push({ name, key, columns, sorts: await readSorts(client, name, key, columns) });
  return tables;
}

// Sorts rows by what a change can mean for them: which columns are null, flags, and words such as a
// kind or a state.
async function readSorts(client: pg.Client, table: string, key: string[], columns: Column[]) {
  const words = new Set(['kind', 'state', 'scope', 'limit_window', 'on_spent']);
  const parts = columns.flatMap(({ name, type, nullable }) => {
    if (words.has(name) || type === 'boolean') return [`t.${name}::text`];
    return nullable ? [`(t.${name} is null)::text`] : [];
  });
  const literals = key.map((column) => `pg_catalog.quote_literal(t.${column})`);
  const { rows } = await client.query(`
    select json_agg(array[${literals.join(', ')}] order by ${key.map((c) => `t.${c}`).join(', ')}) as rows
    from credits_private.${table} as t
    group by pg_catalog.concat_ws('/', ${["'-'", ...parts].join(', ')})
    order by pg_catalog.min(t.account_id), pg_catalog.concat_ws('/', ${["'-'", ...parts].join(', ')})`);
  return rows.map((row) => row.rows as string[][]);
}
