import pg from 'pg';
import { codeOf, Failure } from './explain.ts';

/** Who deploys, and where: what decides which roles can be made. */
export interface Ground {
  version: number;
  database: string;
  user: string;
  superuser: boolean;
  createrole: boolean;
  mayCreateSchemas: boolean;
  deadlockTimeout: number;
}

export interface Roles {
  /** The role that owns everything: credits_owner, or the deploying user where that can't be had. */
  owner: string;
  ownerIsDeployer: boolean;
  created: string[];
  missing: string[];
  administratorStatements: string[];
}

const kinds = ['owner', 'spender', 'granter', 'auditor'] as const;
export const ident = pg.escapeIdentifier;

/** `reallyDo: false` answers what would be, and changes nothing. */
export async function ensureRoles(
  client: pg.ClientBase,
  ground: Ground,
  prefix: string,
  reallyDo: boolean,
): Promise<Roles> {
  const names = kinds.map((kind) => `${prefix}credits_${kind}`);
  const [ownerName = ''] = names;
  const absent = await missingOf(client, names);
  const mayCreate = ground.superuser || ground.createrole;
  if (mayCreate && reallyDo) for (const role of absent) await createRole(client, role);
  const missing = mayCreate ? [] : absent;
  const statements = missing.map((role) => `create role ${ident(role)} nologin;`);
  const canOwn = await ensureOwner(client, ground, ownerName, absent, reallyDo);
  if (!canOwn) statements.push(grantTo(ground, ownerName, ident(ground.user)));
  return {
    owner: canOwn ? ownerName : ground.user,
    ownerIsDeployer: !canOwn,
    created: mayCreate ? absent : [],
    missing,
    administratorStatements: statements,
  };
}

async function missingOf(client: pg.ClientBase, names: string[]): Promise<string[]> {
  const { rows } = await client.query(
    'select rolname from pg_catalog.pg_roles where rolname = any($1)',
    [names],
  );
  const found = new Set(rows.map((row) => row.rolname));
  return names.filter((name) => !found.has(name));
}

// Roles belong to the whole server: a deploy to another database may be creating the same one.
async function createRole(client: pg.ClientBase, role: string) {
  await unlessRaced(client, `create role ${ident(role)} nologin`);
}

async function unlessRaced(client: pg.ClientBase, statement: string) {
  await client.query('savepoint pg_credits_role');
  try {
    await client.query(statement);
  } catch (error) {
    if (codeOf(error) !== '23505' && codeOf(error) !== '42710') throw error;
    await client.query('rollback to savepoint pg_credits_role');
  }
  await client.query('release savepoint pg_credits_role');
}

/** Can the deploying user act as the owner, if need be after granting it to itself? */
async function ensureOwner(
  client: pg.ClientBase,
  ground: Ground,
  owner: string,
  absent: string[],
  reallyDo: boolean,
): Promise<boolean> {
  const created = absent.includes(owner);
  if (created && !(ground.superuser || ground.createrole)) return false;
  if (created && !reallyDo) return true;
  if (await canBecome(client, ground, owner)) return true;
  if (!(await canGrant(client, ground, owner))) return false;
  if (reallyDo) await unlessRaced(client, grantTo(ground, owner, 'current_user'));
  return reallyDo ? canBecome(client, ground, owner) : true;
}

export async function canBecome(client: pg.ClientBase, ground: Ground, role: string) {
  const privilege = ground.version >= 160000 ? 'SET' : 'MEMBER';
  return hasRole(client, role, privilege);
}

// Up to Postgres 15 CREATEROLE hands out any role; since 16 only those that one administers, as the creator does.
async function canGrant(client: pg.ClientBase, ground: Ground, role: string) {
  if (ground.version < 160000 && ground.createrole) return true;
  return hasRole(client, role, 'MEMBER WITH ADMIN OPTION');
}

async function hasRole(client: pg.ClientBase, role: string, privilege: string): Promise<boolean> {
  const { rows } = await client.query(
    'select pg_catalog.pg_has_role(oid, $2) as has from pg_catalog.pg_roles where rolname = $1',
    [role, privilege],
  );
  return rows[0]?.has ?? false;
}

/** The owner's rights are for deploying, not for the deploying user's daily life: no inheriting, where that can be said. */
export function grantTo(ground: Ground, role: string, user: string): string {
  const options = ground.version >= 160000 ? ' with set true, inherit false' : '';
  return `grant ${ident(role)} to ${user}${options};`;
}

/** From here to the end of the transaction, everything is made by the owner, and owned by it. */
export async function become(client: pg.ClientBase, role: string) {
  await client.query(`set local role ${ident(role)}`);
}

export async function readGround(client: pg.ClientBase): Promise<Ground> {
  const { rows } = await client.query(`
    select pg_catalog.current_setting('server_version_num')::int as version,
      pg_catalog.pg_is_in_recovery() as recovering, pg_catalog.current_database() as database,
      current_user as user, r.rolsuper as superuser, r.rolcreaterole as createrole,
      pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') as "mayCreateSchemas",
      (select setting::int from pg_catalog.pg_settings where name = 'deadlock_timeout') as "deadlockTimeout"
    from pg_catalog.pg_roles r where r.rolname = current_user`);
  const { recovering, ...ground } = rows[0];
  const { version } = ground as Ground;
  if (version < 150000)
    throw new Failure(
      `this server is Postgres ${Math.floor(version / 10000)}: pg-credits needs 15 or later`,
    );
  if (recovering)
    throw new Failure('this server is a read-only replica: connect to the primary', '25006');
  return ground;
}
