import type pg from 'pg';

export interface Column {
  name: string;
  type: string;
  notNull: boolean;
  /** By a default, an identity or a generating expression, when it is left out. */
  filled: boolean;
  generated: boolean;
}

export interface Grant {
  privilege: string;
  grantee: string;
  grantable: boolean;
  column: string | null;
}

/** A table of the app's, as the catalogue has it. */
export interface Table {
  /** With its schema, quoted where it must be. */
  name: string;
  /** What it is called while a view has its name. */
  before: string;
  beforeIdent: string;
  ownIdent: string;
  /** Of the name before: there may be such a table, or no room for the name. */
  taken: boolean;
  kind: string;
  owner: string;
  owned: boolean;
  rowSecurity: boolean;
  /** Views, functions, rules and policies that are bound to it, whatever its name is. */
  readers: string[];
  /** Foreign keys of other tables. */
  referrers: string[];
  comment: string | null;
  columns: Column[];
  grants: Grant[];
  /** Who gets privileges on whatever the user creates there: no view may be open to more than its table was. */
  defaults: string[];
}

const suffix = '_before_pg_credits';

export async function readTable(client: pg.ClientBase, name: string): Promise<Table | undefined> {
  const { rows } = await client.query(tableQuery, [name]);
  const [row] = rows;
  if (!row) return undefined;
  const { beforeExists, beforeBytes, ...table } = row;
  return { ...table, taken: beforeExists || beforeBytes > 63 };
}

const tableQuery = `
  select pg_catalog.format('%I.%I', n.nspname, c.relname) as name, pg_catalog.quote_ident(c.relname) as "ownIdent",
    pg_catalog.format('%I.%I', n.nspname, b.name) as before, pg_catalog.quote_ident(b.name) as "beforeIdent",
    pg_catalog.octet_length(b.name) as "beforeBytes", c.relkind as kind, c.relrowsecurity as "rowSecurity",
    pg_catalog.pg_get_userbyid(c.relowner) as owner, pg_catalog.pg_has_role(c.relowner, 'USAGE') as owned,
    pg_catalog.obj_description(c.oid, 'pg_class') as comment,
    exists (select from pg_catalog.pg_class as o
      where o.relnamespace = c.relnamespace and o.relname = b.name) as "beforeExists",
    array(select distinct case when i.identity like '"_RETURN" on %' then 'view ' || pg_catalog.substr(i.identity, 14)
        else i.type || ' ' || i.identity end
      from pg_catalog.pg_depend as d
      cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, 0) as i
      where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = c.oid
        and (d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
          or exists (select from pg_catalog.pg_rewrite as r
            where d.classid = r.tableoid and d.objid = r.oid and r.ev_class <> c.oid)
          or exists (select from pg_catalog.pg_policy as p
            where d.classid = p.tableoid and d.objid = p.oid and p.polrelid <> c.oid))
      order by 1) as readers,
    array(select pg_catalog.format('foreign key %I of %I.%I', k.conname, fn.nspname, f.relname)
      from pg_catalog.pg_constraint as k
      join pg_catalog.pg_class as f on f.oid = k.conrelid
      join pg_catalog.pg_namespace as fn on fn.oid = f.relnamespace
      where k.contype = 'f' and k.confrelid = c.oid and k.conrelid <> c.oid and k.conparentid = 0
      order by 1) as referrers,
    array(select distinct case when e.grantee = 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(e.grantee)) end
      from pg_catalog.pg_default_acl as d
      join pg_catalog.pg_roles as u on u.oid = d.defaclrole and u.rolname = current_user
      cross join lateral pg_catalog.aclexplode(d.defaclacl) as e
      where d.defaclobjtype = 'r' and d.defaclnamespace in (0, c.relnamespace) and e.grantee <> u.oid
      order by 1) as defaults,
    (select pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
        'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
        'filled', a.atthasdef or a.attidentity <> '', 'generated', a.attgenerated <> '') order by a.attnum)
      from pg_catalog.pg_attribute as a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
    coalesce((select pg_catalog.json_agg(pg_catalog.json_build_object('privilege', x.privilege_type,
        'grantee', case when x.grantee = 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) end,
        'grantable', x.is_grantable, 'column', x.attname))
      from (
        select e.*, null::name as attname from pg_catalog.aclexplode(c.relacl) as e
        union all
        select e.*, a.attname from pg_catalog.pg_attribute as a, pg_catalog.aclexplode(a.attacl) as e
        where a.attrelid = c.oid
      ) as x
      where x.grantee <> c.relowner and x.privilege_type <> 'MAINTAIN'), '[]') as grants
  from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  cross join lateral (select c.relname || '${suffix}' as name) as b
  where c.oid = pg_catalog.to_regclass($1)`;

/** The column that an expression is, if it is nothing more. */
export function columnOf(table: Table, expression: string | undefined): Column | undefined {
  const match = /^\(?\s*(?:t\.)?(?:"((?:[^"]|"")+)"|([a-z_][\w$]*))\s*\)?$/i.exec(
    expression?.trim() ?? '',
  );
  const name = match?.[1]?.replaceAll('""', '"') ?? match?.[2]?.toLowerCase();
  return table.columns.find((column) => column.name === name);
}
