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
  /** The roles' prefix, as owner and privileges reveal it. */
  rolePrefix: string;
  /** False where the prefix is a guess, which the bookkeeping may correct. */
  prefixIsTold: boolean;
  /** The owner is credits_owner, not whoever deployed. */
  ownRoles: boolean;
  /** Which of our tables and views the user may read. */
  readable: Set<string>;
}

/** Settings that change how the catalogues read; a database or a role may have values of its own. */
export const plainly = `set local search_path = ''; set local timezone = 'UTC'; set local datestyle = 'ISO, YMD';
  set local intervalstyle = 'postgres'; set local quote_all_identifiers = off`;

export const settings = `begin isolation level repeatable read, read only; ${plainly}`;

/** Where row security would hide rows of an app's table, reading it becomes an error. */
export const allRows = 'set local row_security = off';

/** `look` reads everything as of one moment and changes nothing; no setting stays behind. */
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
  // As for a deploy, act as the owner where allowed: the user may be a member who does not inherit its privileges.
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

/** Refuses a user who may not read all of these views, and says who may. */
export function mustRead({ readable, user, rolePrefix }: Live, views: string[]): void {
  const missing = views.filter((name) => !readable.has(name));
  if (missing.length > 0)
    throw new Failure(
      `${user} may not read ${missing.join(', ')}: connect as a member of ${rolePrefix}credits_auditor`,
      '42501',
    );
}

async function readReadable(client: pg.ClientBase): Promise<Set<string>> {
  const { rows } = await client.query(`
    select n.nspname || '.' || c.relname as name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('credits', 'credits_private') and c.relkind in ('r', 'v')
      and pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select')`);
  return new Set(rows.map((row) => row.name));
}
