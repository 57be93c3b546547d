import type pg from 'pg';

export interface Column {
  name: string;
  /** As SQL writes it. */
  quoted: string;
  kind: 'whole' | 'moment' | 'local' | 'text' | 'other';
  type: string;
  /** Each row has another one. */
  isUnique: boolean;
  /** The table that it points to. */
  references: string | null;
}

export interface Table {
  /** With its schema, as SQL writes it. */
  name: string;
  plain: string;
  columns: Column[];
}

/** The app's own tables, as the catalogue describes them. */
export async function readTables(client: pg.ClientBase): Promise<Table[]> {
  const { rows } = await client.query<Column & { table: string; plain: string }>(`
    select pg_catalog.format('%I.%I', n.nspname, c.relname) as table, c.relname as plain,
      a.attname as name, pg_catalog.quote_ident(a.attname) as quoted,
      pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
      case
        when a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
          then 'whole'
        when a.atttypid = 'timestamptz'::regtype then 'moment'
        when a.atttypid = 'timestamp'::regtype then 'local'
        when t.typcategory in ('S', 'E') or a.atttypid = 'uuid'::regtype then 'text'
        else 'other'
      end as kind,
      exists (
        select from pg_catalog.pg_index i
        where i.indrelid = c.oid and i.indisunique and i.indpred is null
          and i.indnkeyatts = 1 and i.indkey[0] = a.attnum
      ) as "isUnique",
      (
        select pg_catalog.format('%I.%I', fn.nspname, f.relname)
        from pg_catalog.pg_constraint k
        join pg_catalog.pg_class f on f.oid = k.confrelid
        join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
        where k.contype = 'f' and k.conrelid = c.oid and k.conkey = array[a.attnum]
        order by k.conname limit 1
      ) as references
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_catalog.pg_type t on t.oid = a.atttypid
    where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_'
      and n.nspname not in ('information_schema', 'credits', 'credits_private', 'credits_adoption')
    order by n.nspname <> 'public', n.nspname, c.relname, a.attnum`);
  const tables = new Map<string, Table>();
  for (const { table: name, plain, ...column } of rows) {
    const table = tables.get(name) ?? { name, plain, columns: [] };
    table.columns.push(column);
    tables.set(name, table);
  }
  return [...tables.values()];
}
