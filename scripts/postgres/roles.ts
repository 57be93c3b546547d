import pg from 'pg';
import { Failure } from '../shell/explain.ts';

/** Who deploys, and where. This decides which roles can be created. */
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
  /** The role that owns everything: credits_owner, or the deploying user where that role can't be used. */
  owner: string;
  ownerIsDeployer: boolean;
  created: string[];
  missing: string[];
  /** Statements that create the roles and let the deploying user act as the owner. */
  statements: string[];
  administratorStatements: string[];
}

const kinds = ['owner', 'spender', 'granter', 'auditor'] as const;
export const ident = pg.escapeIdentifier;

export const roleNames = (prefix: string) => kinds.map((kind) => `${prefix}credits_${kind}`);

/** Plans which roles to create, and how; changes nothing. */
export async function planRoles(
  client: pg.ClientBase,
  ground: Ground,
  prefix: string,
): Promise<Roles> {
  const names = roleNames(prefix);
  const [owner = ''] = names;
  const absent = await missingOf(client, names);
  const mayCreate = ground.superuser || ground.createrole;
  const missing = mayCreate ? [] : absent;
  const statements = mayCreate ? absent.map((role) => unlessRaced(`${create(role)};`)) : [];
  const administratorStatements = missing.map((role) => `${create(role)};`);
  const isOwner = absent.includes(owner)
    ? ground.superuser
    : await canBecome(client, ground, owner);
  // The creator of a role administers it, and so may grant the role to itself.
  const mayGrant = absent.includes(owner) ? mayCreate : await canGrant(client, ground, owner);
  if (!isOwner && mayGrant) statements.push(unlessRaced(grantTo(ground, owner, 'current_user')));
  const canOwn = isOwner || mayGrant;
  if (!canOwn) administratorStatements.push(grantTo(ground, owner, ident(ground.user)));
  return {
    owner: canOwn ? owner : ground.user,
    ownerIsDeployer: !canOwn,
    created: mayCreate ? absent : [],
    missing,
    statements,
    administratorStatements,
  };
}

const create = (role: string) => `create role ${ident(role)} nologin`;

export async function missingOf(client: pg.ClientBase, names: string[]): Promise<string[]> {
  const { rows } = await client.query(
    'select rolname from pg_catalog.pg_roles where rolname operator(pg_catalog.=) any($1)',
    [names],
  );
  const found = new Set(rows.map((row) => row.rolname));
  return names.filter((name) => !found.has(name));
}

// Roles belong to the whole server: a deploy to another database may be creating the same one.
const unlessRaced = (statement: string) =>
  `do $$ begin ${statement} exception when duplicate_object or unique_violation then null; end $$;`;

/** Notes on rights that the owner of everything should not have, and on who may act as the owner. */
export async function ownerNotes(
  client: pg.ClientBase,
  version: number,
  owner: string,
  user: string,
): Promise<string[]> {
  const acts = version >= 160000 ? '(m.set_option or m.inherit_option)' : 'true';
  const { rows } = await client.query(
    `select pg_catalog.concat_ws(', ', case when r.rolcanlogin then 'log in' end,
        case when r.rolcreaterole then 'create roles' end, case when r.rolcreatedb then 'create databases' end,
        case when r.rolbypassrls then 'bypass row security' end, case when r.rolreplication then 'replicate' end) as may,
      (select pg_catalog.string_agg(pg_catalog.pg_get_userbyid(m.member), ', ' order by pg_catalog.pg_get_userbyid(m.member))
        from pg_catalog.pg_auth_members m where m.roleid operator(pg_catalog.=) r.oid and ${acts}
          and pg_catalog.pg_get_userbyid(m.member) operator(pg_catalog.<>) $2) as members
    from pg_catalog.pg_roles r where r.rolname operator(pg_catalog.=) $1`,
    [owner, user],
  );
  const [row] = rows;
  if (!row || owner === user) return [];
  const attributes = 'nologin nocreaterole nocreatedb nobypassrls noreplication';
  return [
    ...(row.may
      ? [`${owner} owns everything and may ${row.may}: alter role ${ident(owner)} ${attributes}`]
      : []),
    ...(row.members
      ? [`these may act as ${owner}, who owns everything, and so change any figure: ${row.members}`]
      : []),
  ];
}

export async function canBecome(
  client: pg.ClientBase,
  ground: Pick<Ground, 'version'>,
  role: string,
) {
  const privilege = ground.version >= 160000 ? 'SET' : 'MEMBER';
  return hasRole(client, role, privilege);
}

// Up to Postgres 15, CREATEROLE may grant any role; since 16, only roles that one administers, as a creator does.
async function canGrant(client: pg.ClientBase, ground: Ground, role: string) {
  if (ground.version < 160000 && ground.createrole) return true;
  return hasRole(client, role, 'MEMBER WITH ADMIN OPTION');
}

async function hasRole(client: pg.ClientBase, role: string, privilege: string): Promise<boolean> {
  const { rows } = await client.query(
    'select pg_catalog.pg_has_role(oid, $2) as has from pg_catalog.pg_roles where rolname operator(pg_catalog.=) $1',
    [role, privilege],
  );
  return rows[0]?.has ?? false;
}

/** The deploying user needs the owner's rights for deploying only, so it does not inherit them where Postgres allows that. */
export function grantTo(ground: Ground, role: string, user: string): string {
  const options = ground.version >= 160000 ? ' with set true, inherit false' : '';
  return `grant ${ident(role)} to ${user}${options};`;
}

/** Until the end of the transaction, the owner creates everything, and so owns it. */
export async function become(client: pg.ClientBase, role: string) {
  await client.query(`set local role ${ident(role)}`);
}

/** Qualifies every operator: the database's own search_path may put other operators before Postgres's. */
export async function readGround(client: pg.ClientBase): Promise<Ground> {
  const { rows } = await client.query(`
    select pg_catalog.current_setting('server_version_num')::int as version,
      pg_catalog.pg_is_in_recovery() as recovering, pg_catalog.current_database() as database,
      current_user as user, r.rolsuper as superuser, r.rolcreaterole as createrole,
      pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') as "mayCreateSchemas",
      (select setting::int from pg_catalog.pg_settings where name operator(pg_catalog.=) 'deadlock_timeout') as "deadlockTimeout"
    from pg_catalog.pg_roles r where r.rolname operator(pg_catalog.=) current_user`);
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
