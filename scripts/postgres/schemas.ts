import type pg from 'pg';
import { Failure } from '../shell/explain.ts';
import { canBecome, type Ground, grantTo, ident, type Roles } from './roles.ts';

export interface Schemas {
  /** The owner of each schema; a schema without an entry does not exist yet. */
  owners: Map<string, string>;
  /** credits_private.accounts exists, so callers may be at work. */
  inUse: boolean;
  /** Prefixes of the roles with privileges on schema credits. */
  prefixes: string[];
}

export const schemaNames = ['credits', 'credits_private'];

/** Reads the catalogues only. Refuses a schema that has one of our names and is not ours. */
export async function readSchemas(client: pg.ClientBase): Promise<Schemas> {
  const { rows } = await client.query(
    `select n.nspname as name, pg_catalog.pg_get_userbyid(n.nspowner) as owner,
      array(select c.relname::text from pg_catalog.pg_class c
        where c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) 'r') as tables,
      array(select distinct pg_catalog.pg_get_userbyid(x.grantee)::text
        from pg_catalog.aclexplode(n.nspacl) x) as grantees
    from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) any($1) order by 1`,
    [schemaNames],
  );
  const owners = new Map<string, string>(rows.map((row) => [row.name, row.owner]));
  const tables: string[] = rows.find((row) => row.name === 'credits_private')?.tables ?? [];
  const ours = tables.includes('migrations') && tables.includes('applied_files');
  const [foreign] = rows;
  if (foreign && !ours)
    throw new Failure(
      `schema ${foreign.name} exists and was not made by pg-credits: rename or drop it, or use another database`,
    );
  const grantees: string[] = rows.find((row) => row.name === 'credits')?.grantees ?? [];
  const prefixes = grantees.flatMap((role) => prefixOf(role, 'spender|granter|auditor') ?? []);
  return { owners, inUse: tables.includes('accounts'), prefixes: [...new Set(prefixes)] };
}

const prefixOf = (role: string, kinds: string) =>
  new RegExp(`^(.*)credits_(?:${kinds})$`).exec(role)?.[1];

/** The role prefix that these schemas were deployed with, as owner and privileges reveal it. */
export function prefixFound({ owners, prefixes }: Schemas): string | undefined {
  const byOwner = prefixOf(owners.get('credits') ?? '', 'owner');
  return byOwner ?? (prefixes.length === 1 ? prefixes[0] : undefined);
}

/** Refuses to hand a database from one role prefix to another. */
export function checkSamePrefix(schemas: Schemas, prefix: string) {
  const found = prefixFound(schemas);
  if (found === undefined || found === prefix) return;
  const advice = found === '' ? 'without --role-prefix' : `with --role-prefix ${found}`;
  const owner = schemas.owners.get('credits') ?? '';
  const whose =
    prefixOf(owner, 'owner') === undefined
      ? `was deployed for ${found}credits_spender and the like`
      : `belongs to ${owner}`;
  throw new Failure(`this database ${whose}: deploy ${advice}`);
}

/** Who is to own everything: the schemas' present owner, unless the deploying user may take them over. */
export async function actingOwner(
  client: pg.ClientBase,
  ground: Ground,
  roles: Roles,
  owners: string[],
): Promise<string> {
  const others = owners.filter((owner) => owner !== roles.owner);
  const [other] = others;
  if (other === undefined) return roles.owner;
  if (mayTakeOver(ground, others) && ground.mayCreateSchemas) return roles.owner;
  if (other === ground.user || (await canBecome(client, ground, other))) return other;
  throw new Failure(
    `the schemas belong to ${other}, and ${ground.user} may not act as it: an administrator must run: ` +
      grantTo(ground, other, ident(ground.user)),
    '42501',
  );
}

export const mayTakeOver = (ground: Ground, owners: string[]) =>
  ground.superuser || owners.every((owner) => owner === ground.user);

export function createStatement(ground: Ground) {
  return `grant create on database ${ident(ground.database)} to ${ident(ground.user)};`;
}

export function mayNotCreate(ground: Ground, roles: Roles) {
  const statements = [...roles.administratorStatements, createStatement(ground)].join(' ');
  return new Failure(
    `${ground.user} may not create schemas in database ${ground.database}: an administrator must run: ${statements}`,
    '42501',
  );
}

/** Hands everything over, the schemas last: without them, the deploying user could not name what they contain. */
export async function transferStatements(
  client: pg.ClientBase,
  schemas: Schemas,
  owner: string,
): Promise<string[]> {
  const existing = [...schemas.owners.keys()];
  const list = existing.map(ident).join(', ');
  const { rows } = await client.query(objects, [existing]);
  return [
    `grant usage, create on schema ${list} to ${ident(owner)};`,
    ...rows.map((row) => `alter ${row.object} owner to ${ident(owner)};`),
    ...existing.map((name) => `alter schema ${ident(name)} owner to ${ident(owner)};`),
  ];
}

// Indexes, row types, array types and columns' sequences change owner with what they belong to.
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
