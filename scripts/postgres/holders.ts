import type pg from 'pg';

/** A session that holds a lock we wait for. */
export interface Holder {
  pid: number;
  words: string;
}

/** A rollback restores the database's own search_path, which may put other operators before Postgres's. */
export async function readHolders(
  client: pg.ClientBase,
  which: string,
  values: unknown[] = [],
): Promise<Holder[]> {
  await client.query("begin; set local search_path = ''");
  try {
    return await holdersOf(client, which, values);
  } finally {
    await client.query('rollback').catch(() => {});
  }
}

/** Who holds such locks, those of the oldest transaction first; runs within a transaction of ours. */
export async function holdersOf(
  client: pg.ClientBase,
  which: string,
  values: unknown[] = [],
): Promise<Holder[]> {
  // Most roles may see who the other sessions belong to, but not their names or what they do.
  const { rows } = await client.query(
    `select distinct a.pid, a.usename as user, a.state, a.xact_start,
      coalesce(nullif(a.application_name, ''), nullif(a.backend_type, 'client backend')) as name,
      pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - a.xact_start))::int as seconds
    from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
    where l.granted and l.pid <> pg_catalog.pg_backend_pid()
      and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
      and (${which})
    order by a.xact_start limit 3`,
    values,
  );
  return rows.map(({ pid, user, name, state, seconds }) => ({
    pid,
    words: [
      `pid ${pid}`,
      ...(user === null ? [] : [`user ${user}`]),
      ...(name === null ? [] : [name]),
      ...(state === null ? [] : [state]),
      ...(seconds === null ? [] : [`transaction open for ${seconds} s`]),
    ].join(', '),
  }));
}

/** Locks on these tables, or on any relation in our schemas if no tables are given. */
export const ofTables = `l.relation in (
  select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where case when $1::text[] is null then n.nspname in ('credits', 'credits_private')
    else c.oid in (select pg_catalog.to_regclass(t) from pg_catalog.unnest($1::text[]) as t) end)`;

export const ofAdvisoryLock = (key: bigint) =>
  `l.locktype = 'advisory' and l.objsubid = 1 and l.classid = ${key >> 32n} and l.objid = ${key & 0xffffffffn}`;
