import type { ClientBase } from 'pg';
import pg from 'pg';
import { schemaNames } from '../postgres/schemas.ts';

// By default, PUBLIC may execute every function and use every type.
const accessTo = (schemas: string[]) => `
  select 'schema' as kind, pg_catalog.format('%I', n.nspname) as name, n.nspacl as acl, n.nspowner as owner
  from pg_catalog.pg_namespace n where n.nspname = any (${list(schemas)})
  union all
  select case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass::text, a.acl, c.relowner
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  cross join lateral (
    select c.relacl as acl union all select t.attacl from pg_catalog.pg_attribute t where t.attrelid = c.oid
  ) a
  where n.nspname = any (${list(schemas)}) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  union all
  select 'routine', p.oid::regprocedure::text, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)), p.proowner
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname = any (${list(schemas)})
  union all
  select 'type', t.oid::regtype::text, coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner)), t.typowner
  from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where n.nspname = any (${list(schemas)}) and t.typtype in ('c', 'd', 'e', 'r')`;

const grants = (keep: string[], schemas: string[]) => `
  select a.kind, a.name, a.owner, x.grantee, coalesce(r.rolname::text, 'public') as role
  from (${accessTo(schemas)}) a cross join lateral pg_catalog.aclexplode(a.acl) x
  left join pg_catalog.pg_roles r on r.oid = x.grantee
  where x.grantee <> a.owner
    and coalesce(r.rolname::text, 'public') <> all (${list(keep)})`;

const list = (names: string[]) =>
  `array[${names.map((name) => pg.escapeLiteral(name)).join(', ')}]::text[]`;

/** Roles besides `keep` that have privileges in the schemas: default privileges may have granted some on new objects. */
export async function readGrantees(
  client: ClientBase,
  keep: string[],
): Promise<Map<string, number>> {
  const { rows } = await client.query(
    `select role, pg_catalog.count(distinct (kind, name))::int as objects from (${grants(keep, schemaNames)}) g group by role order by role`,
  );
  return new Map(rows.map((row) => [row.role, row.objects]));
}

/**
 * Revokes all privileges of everybody but the owner, whoever granted them: default privileges may have granted some
 * to anybody. sql/roles.sql runs afterwards and grants what is meant.
 */
export const revokeAll = (keep: string[], schemas = schemaNames) => `do $privileges$
declare
  v record;
begin
  for v in select distinct g.kind, g.name, g.role, g.grantee from (${grants(keep, schemas)}) g loop
    execute pg_catalog.format('revoke all on %s %s from %s cascade', v.kind, v.name,
      case when v.grantee = 0 then 'public' else pg_catalog.quote_ident(v.role) end);
  end loop;
end $privileges$;`;
