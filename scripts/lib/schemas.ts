import type pg from 'pg';
import { Failure } from './explain.ts';
import { become, canBecome, type Ground, grantTo, ident, type Roles } from './roles.ts';

export interface Schemas {
  /** Who owns each of the two; without an entry it does not exist yet. */
  owners: Map<string, string>;
  /** credits_private.accounts is there, so callers may be at work. */
  inUse: boolean;
}

export interface Grounding {
  /** Everything was given to credits_owner, which a deploy before this one could not have. */
  transferred: boolean;
  created: string[];
}

const names = ['credits', 'credits_private'];

/** What is there; a schema of one of our names that is not ours is refused. */
export async function readSchemas(client: pg.ClientBase): Promise<Schemas> {
  const { rows } = await client.query(
    `select n.nspname as name, pg_catalog.pg_get_userbyid(n.nspowner) as owner,
      array(select c.relname::text from pg_catalog.pg_class c where c.relnamespace = n.oid
        and c.relkind = 'r') as tables
    from pg_catalog.pg_namespace n where n.nspname = any($1) order by n.nspname`,
    [names],
  );
  const owners = new Map<string, string>(rows.map((row) => [row.name, row.owner]));
  const tables: string[] = rows.find((row) => row.name === 'credits_private')?.tables ?? [];
  const ours = tables.includes('migrations') && tables.includes('applied_files');
  const [foreign] = rows;
  if (foreign && !ours)
    throw new Failure(
      `schema ${foreign.name} exists and was not made by pg-credits: rename or drop it, or use another database`,
    );
  return { owners, inUse: tables.includes('accounts') };
}

/** A database that belongs to one role prefix is not quietly given to another. */
export function checkSamePrefix(schemas: Schemas, prefix: string) {
  for (const owner of schemas.owners.values()) {
    const found = /^(.*)credits_owner$/.exec(owner)?.[1];
    if (found === undefined || found === prefix) continue;
    const advice = found === '' ? 'without --role-prefix' : `with --role-prefix ${found}`;
    throw new Failure(`this database belongs to ${owner}: deploy ${advice}`);
  }
}

/** Makes the missing schemas, hands over those that the deploying user owned so far, and becomes the owner. */
export async function takeOwnership(
  client: pg.ClientBase,
  ground: Ground,
  roles: Roles,
  schemas: Schemas,
  lockAccounts: () => Promise<void>,
): Promise<Grounding> {
  const created = names.filter((name) => !schemas.owners.has(name));
  const others = [...schemas.owners.values()].filter((owner) => owner !== roles.owner);
  if (created.length > 0 && !ground.mayCreateSchemas) throw mayNotCreate(ground, roles);
  const acting = await actingOwner(client, ground, roles, others);
  for (const name of created)
    await client.query(`create schema ${ident(name)} authorization ${ident(acting)}`);
  const transferred = others.length > 0 && acting === roles.owner;
  if (transferred) {
    await lockAccounts();
    await transfer(client, schemas, acting);
  }
  if (acting !== ground.user) await become(client, acting);
  roles.owner = acting;
  roles.ownerIsDeployer = acting === ground.user;
  return { transferred, created };
}

/** Whoever is to own everything: the schemas' present owner stays, where the deploying user may not take them over. */
export async function actingOwner(
  client: pg.ClientBase,
  ground: Ground,
  roles: Roles,
  others: string[],
): Promise<string> {
  const [other] = others;
  if (other === undefined) return roles.owner;
  const mayTakeOver = ground.superuser || others.every((owner) => owner === ground.user);
  if (mayTakeOver && ground.mayCreateSchemas) return roles.owner;
  if (other === ground.user || (await canBecome(client, ground, other))) return other;
  throw new Failure(
    `the schemas belong to ${other}, and ${ground.user} may not act as it: an administrator must run: ` +
      grantTo(ground, other, ident(ground.user)),
    '42501',
  );
}

export function createStatement(ground: Ground) {
  return `grant create on database ${ident(ground.database)} to ${ident(ground.user)};`;
}

function mayNotCreate(ground: Ground, roles: Roles) {
  const statements = [...roles.administratorStatements, createStatement(ground)].join(' ');
  return new Failure(
    `${ground.user} may not create schemas in database ${ground.database}: an administrator must run: ${statements}`,
    '42501',
  );
}

// The schemas come last: without them the deploying user could no longer name what is in them.
async function transfer(client: pg.ClientBase, schemas: Schemas, owner: string) {
  const existing = [...schemas.owners.keys()];
  const list = existing.map(ident).join(', ');
  await client.query(`grant usage, create on schema ${list} to ${ident(owner)}`);
  const { rows } = await client.query(objects, [existing]);
  const statements = rows.map((row) => `alter ${row.object} owner to ${ident(owner)};`);
  for (const name of existing)
    statements.push(`alter schema ${ident(name)} owner to ${ident(owner)};`);
  await client.query(statements.join('\n'));
}

// Indexes, row types, array types and the sequences of columns follow what they belong to.
const objects = `
  select case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
      when 'S' then 'sequence' when 'c' then 'type' else 'table' end
    || pg_catalog.format(' %I.%I', n.nspname, c.relname) as object
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'S', 'c', 'f')
    and not exists (select from pg_catalog.pg_depend d where c.relkind = 'S'
      and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype in ('a', 'i'))
  union all
  select 'routine ' || p.oid::pg_catalog.regprocedure
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname = any($1)
  union all
  select case t.typtype when 'd' then 'domain' else 'type' end || pg_catalog.format(' %I.%I', n.nspname, t.typname)
  from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where n.nspname = any($1) and t.typtype in ('e', 'd', 'r')`;
