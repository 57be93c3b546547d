import type pg from 'pg';
import { Failure } from '../shell/explain.ts';
import { become, canBecome } from './roles.ts';
import { prefixFound, readSchemas } from './schemas.ts';

/** A database with pg-credits, seen by the connected user. */
export interface Live {
  server: string;
  /** As server_version_num has it. */
  version: number;
  database: string;
  user: string;
  owner: string;
  /** Of the roles, as owner and privileges tell it. */
  rolePrefix: string;
  /** Else it is a guess, and the bookkeeping knows better. */
  prefixIsTold: boolean;
  /** The owner is credits_owner, not whoever deployed. */
  ownRoles: boolean;
  /** Which of our tables and views the user may read. */
  readable: Set<string>;
}

/** What decides how the catalogues are read and shown, which a database or a role may have of its own. */
export const plainly = `set local search_path = ''; set local timezone = 'UTC'; set local datestyle = 'ISO, YMD';
  set local intervalstyle = 'postgres'; set local quote_all_identifiers = off`;

export const settings = `begin isolation level repeatable read, read only; ${plainly}`;

/** Of an app's tables, where row security may hide rows: all of them, or an error. */
export const allRows = 'set local row_security = off';

/** Everything that `look` reads is as of one moment; nothing is changed, and no setting stays behind. */
export async function readOnly<T>(
  client: pg.ClientBase,
  look: (live: Live) => Promise<T>,
  rolePrefix?: string,
): Promise<T> {
  await client.query(settings);
  try {
    return await look(await readLive(client, rolePrefix));
  } finally {
    await client.query('rollback').catch(() => {});
  }
}

async function readLive(client: pg.ClientBase, givenPrefix?: string): Promise<Live> {
  const { rows } = await client.query(`
    select pg_catalog.current_setting('server_version') as server, current_user as user,
      pg_catalog.current_setting('server_version_num')::int as version,
      pg_catalog.current_database() as database, r.rolsuper as superuser
    from pg_catalog.pg_roles r where r.rolname = current_user`);
  const { server, user, version, database, superuser } = rows[0];
  const schemas = await readSchemas(client);
  const owner = schemas.owners.get('credits');
  if (owner === undefined)
    throw new Failure(`no pg-credits in database ${database}: run pg-credits deploy first`);
  const ownRoles = /credits_owner$/.test(owner);
  const found = prefixFound(schemas);
  if (found !== undefined && givenPrefix !== undefined && found !== givenPrefix)
    throw new Failure(
      `this database ${ownRoles ? `belongs to ${owner}` : `has the role prefix '${found}'`}: leave --role-prefix out`,
    );
  // Who may act as the owner does, as for a deploy: it may have the right to without inheriting what the owner may.
  if (!superuser && (await canBecome(client, { version }, owner))) await become(client, owner);
  return {
    server,
    database,
    user,
    owner,
    version,
    rolePrefix: found ?? givenPrefix ?? '',
    prefixIsTold: (found ?? givenPrefix) !== undefined,
    ownRoles,
    readable: await readReadable(client),
  };
}

async function readReadable(client: pg.ClientBase): Promise<Set<string>> {
  const { rows } = await client.query(`
    select n.nspname || '.' || c.relname as name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('credits', 'credits_private') and c.relkind in ('r', 'v')
      and pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select')`);
  return new Set(rows.map((row) => row.name));
}
