// What the system catalogues say about our two schemas, as rows (section, rank, key, value, body). They are the same on
// Postgres 15 to 18, except the text of views, which snapshot.ts normalises. $1 is the prefix of the roles.
// An owner or an internal trigger is listed only when it is not as expected.

const relations = `
  with ours as (
    select n.oid, n.nspname, n.nspacl, n.nspowner from pg_catalog.pg_namespace n
    where n.nspname in ('credits', 'credits_private')
  ), boss as (
    select o.nspowner as owner from ours o where o.nspname = 'credits'
  ), relation as (
    select c.oid, c.relkind as kind, c.relowner as owner, c.relacl as acl, c.relpersistence,
      c.relrowsecurity, c.reloptions, c.reloftype, c.relreplident, pg_catalog.format('%I.%I', o.nspname, c.relname) as name,
      case c.relkind when 'r' then 'table' when 'v' then 'view' when 'm' then 'materialized view'
        when 'p' then 'partitioned table' when 'S' then 'sequence' else 'foreign table' end as word
    from pg_catalog.pg_class c join ours o on o.oid = c.relnamespace
    where c.relkind in ('r', 'v', 'm', 'p', 'S', 'f') and not exists (
      select from pg_catalog.pg_depend d where c.relkind = 'S' and d.objid = c.oid
        and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype in ('a', 'i'))
  ), shown as (
    select r.*, case r.kind when 'v' then '3 ' else '2 ' end || r.name as section
    from relation r
  ), routine as (
    select p.*, case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end
      || pg_catalog.format(' %I.%I(%s)', o.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)) as key
    from pg_catalog.pg_proc p join ours o on o.oid = p.pronamespace
  ), kind as (
    select t.oid, t.typtype, t.typowner as owner, t.typrelid, t.typbasetype,
      coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner)) as acl,
      pg_catalog.format('type %I.%I', o.nspname, t.typname) as key
    from pg_catalog.pg_type t join ours o on o.oid = t.typnamespace
    where t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and exists (
      select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c')
  ), owned as (
    select r.word || ' ' || r.name as key, r.owner from relation r
    union all select p.key, p.proowner from routine p
    union all select k.key, k.owner from kind k
    union all select 'schema ' || o.nspname, o.nspowner from ours o
  ), access as (
    select 'schema ' || o.nspname as object, o.nspacl as acl, o.nspowner as owner from ours o
    union all select r.word || ' ' || r.name, r.acl, r.owner from relation r
    union all select pg_catalog.format('sequence %I.%I', o.nspname, c.relname), c.relacl, c.relowner
      from pg_catalog.pg_class c join ours o on o.oid = c.relnamespace
      where c.relkind = 'S' and c.oid not in (select r.oid from relation r)
    union all select pg_catalog.format('column %s.%I', r.name, a.attname), a.attacl, r.owner
      from relation r join pg_catalog.pg_attribute a on a.attrelid = r.oid
    union all select p.key, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)), p.proowner from routine p
    union all select k.key, k.acl, k.owner from kind k
  ), granted as (
    select a.object, x.privilege_type, x.is_grantable, x.grantee, pg_catalog.pg_get_userbyid(x.grantee)::text as name
    from access a cross join lateral pg_catalog.aclexplode(a.acl) x
    where x.grantee <> a.owner
  )
  select '1' as section, 0 as rank, 'schema ' || o.nspname as key, ''::text as value, null::text as body from ours o
  union all
  select '1', 1, 'owner of ' || w.key, pg_catalog.pg_get_userbyid(w.owner)::text, null
  from owned w, boss b where w.owner <> b.owner
  union all
  select s.section, 0, s.word || ' ' || s.name, pg_catalog.concat_ws(', ',
      case s.relpersistence when 'u' then 'unlogged' end,
      case when s.relrowsecurity then 'row level security' end,
      case when s.kind = 'r' and s.relreplident = 'n' then 'no replica identity' end,
      case when s.reloftype <> 0 then 'of ' || pg_catalog.format_type(s.reloftype, null) end,
      (select pg_catalog.string_agg(x, ', ' order by x collate "C") from pg_catalog.unnest(s.reloptions) x)),
    case when s.kind in ('v', 'm') then pg_catalog.pg_get_viewdef(s.oid) end
  from shown s`;

const parts = `
  select s.section, 1, pg_catalog.format('column %s.%I', s.name, a.attname), pg_catalog.concat_ws(' ',
      pg_catalog.format_type(a.atttypid, a.atttypmod),
      (select pg_catalog.format('collate %I', l.collname) from pg_catalog.pg_collation l
        where l.oid = a.attcollation and l.oid <> 100),
      case when a.attnotnull then 'not null' end,
      case a.attgenerated when '' then 'default ' else 'generated as ' end
        || pg_catalog.pg_get_expr(d.adbin, d.adrelid),
      case when a.attidentity <> '' then 'identity' end), null
  from shown s join pg_catalog.pg_attribute a on a.attrelid = s.oid and a.attnum > 0 and not a.attisdropped
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  union all
  select s.section, 2, pg_catalog.format('constraint %s %I', s.name, c.conname),
    pg_catalog.pg_get_constraintdef(c.oid), null
  from shown s join pg_catalog.pg_constraint c on c.conrelid = s.oid and c.contype in ('p', 'u', 'c', 'f', 'x')
  union all
  select s.section, 3, pg_catalog.format('index %s %I', s.name, c.relname),
    pg_catalog.pg_get_indexdef(i.indexrelid) || case when i.indisvalid then '' else ', invalid' end
      -- What an index computes runs whenever a statement on its table is planned.
      || case when exists (select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
          and d.refclassid not in ('pg_catalog.pg_class'::pg_catalog.regclass,
            'pg_catalog.pg_constraint'::pg_catalog.regclass)) then ', with code of its own' else '' end, null
  from shown s join pg_catalog.pg_index i on i.indrelid = s.oid
  join pg_catalog.pg_class c on c.oid = i.indexrelid
  union all
  select s.section, 4, pg_catalog.format('trigger %s %I', s.name, t.tgname),
    ${stateOf('t')} || ', ' || pg_catalog.pg_get_triggerdef(t.oid), null
  from shown s join pg_catalog.pg_trigger t on t.tgrelid = s.oid and not t.tgisinternal
  union all
  select distinct s.section, 5, pg_catalog.format('trigger %s of constraint %I', s.name, c.conname), ${stateOf('t')}, null
  from shown s join pg_catalog.pg_trigger t on t.tgrelid = s.oid and t.tgisinternal and t.tgenabled <> 'O'
  join pg_catalog.pg_constraint c on c.oid = t.tgconstraint
  union all
  select s.section, 6, pg_catalog.format('rule %s %I', s.name, w.rulename), pg_catalog.pg_get_ruledef(w.oid), null
  from shown s join pg_catalog.pg_rewrite w on w.ev_class = s.oid and w.rulename <> '_RETURN'
  union all
  select s.section, 7, pg_catalog.format('policy %s %I', s.name, p.polname), pg_catalog.concat_ws(', ', p.polcmd::text,
    pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)), null
  from shown s join pg_catalog.pg_policy p on p.polrelid = s.oid
  union all
  select s.section, 8, pg_catalog.format('child of %s %s', s.name, i.inhrelid::pg_catalog.regclass), '', null
  from shown s join pg_catalog.pg_inherits i on i.inhparent = s.oid
  union all
  -- Whoever owns the parent reads and changes what is in the child.
  select s.section, 8, pg_catalog.format('parent of %s %s', s.name, i.inhparent::pg_catalog.regclass), '', null
  from shown s join pg_catalog.pg_inherits i on i.inhrelid = s.oid
  union all
  select s.section, 9, pg_catalog.format('statistics %s %I', s.name, e.stxname), '', null
  from shown s join pg_catalog.pg_statistic_ext e on e.stxrelid = s.oid`;

// Our own text may refer to a function or type of another schema, which is then named here.
const foreign = `
  select distinct s.section, 10, pg_catalog.format('code of %s in %s %s', s.name, x.type, x.identity), '', null
  from shown s
  cross join lateral (
    select 'pg_catalog.pg_attrdef'::pg_catalog.regclass as classid, d.oid
      from pg_catalog.pg_attrdef d where d.adrelid = s.oid
    union all select 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid
      from pg_catalog.pg_constraint c where c.conrelid = s.oid
    union all select 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid
      from pg_catalog.pg_rewrite w where w.ev_class = s.oid
    union all select 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid
      from pg_catalog.pg_trigger t where t.tgrelid = s.oid and not t.tgisinternal
  ) o
  join pg_catalog.pg_depend d on d.classid = o.classid and d.objid = o.oid
  cross join lateral pg_catalog.pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) x
  where x.schema is not null and x.schema not in ('credits', 'credits_private', 'pg_catalog')`;

// Text can use an operator or a collation without naming it, as `nullif` and `is distinct from` do.
const others = `
  select '7', 0, x.type || ' ' || x.identity, '', null
  from ours o
  join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and d.refobjid = o.oid
  cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) x
  where d.classid not in ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass,
    'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass,
    'pg_catalog.pg_default_acl'::pg_catalog.regclass, 'pg_catalog.pg_publication_namespace'::pg_catalog.regclass)`;

const behaviour = `
  select '4', 0, k.key, case k.typtype
      when 'c' then (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', pg_catalog.quote_ident(a.attname),
          pg_catalog.format_type(a.atttypid, a.atttypmod),
          case when l.oid is not null then pg_catalog.format('collate %I', l.collname) end), ', ' order by a.attnum)
        from pg_catalog.pg_attribute a
        left join pg_catalog.pg_collation l on l.oid = a.attcollation and l.oid <> 100
        where a.attrelid = k.typrelid and not a.attisdropped)
      when 'e' then 'enum ' || (select pg_catalog.string_agg(e.enumlabel, ', ' order by e.enumsortorder)
        from pg_catalog.pg_enum e where e.enumtypid = k.oid)
      when 'd' then 'domain over ' || pg_catalog.format_type(k.typbasetype, null) else 'range' end, null
  from kind k
  union all
  select '5', 0, p.key, pg_catalog.concat_ws(', ', '(' || pg_catalog.pg_get_function_arguments(p.oid) || ')',
      'returns ' || pg_catalog.pg_get_function_result(p.oid), l.lanname,
      case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
      case when p.proisstrict then 'strict' end, case p.proparallel when 's' then 'parallel safe' end,
      case when p.prosecdef then 'security definer' end,
      (select pg_catalog.string_agg('set ' || x, ', ' order by x collate "C") from pg_catalog.unnest(p.proconfig) x)),
    case when p.prokind <> 'a' then coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) end
  from routine p join pg_catalog.pg_language l on l.oid = p.prolang
  union all
  select '6 ' || o.role, 0, 'privilege ' || o.role || ' on ' || g.object, pg_catalog.string_agg(g.privilege_type
      || case when g.is_grantable then ' with grant option' else '' end, ', ' order by g.privilege_type collate "C"), null
  -- A role of our names without the prefix is another database's.
  from granted g cross join lateral (select case
    when g.grantee = 0 then 'PUBLIC' when g.name in (select $1 || k from pg_catalog.unnest(array['credits_spender',
      'credits_granter', 'credits_auditor', 'credits_owner']) k) then pg_catalog.substr(g.name, pg_catalog.length($1) + 1)
    when pg_catalog.starts_with(g.name, 'credits_') then '"' || g.name || '"' else pg_catalog.quote_ident(g.name) end as role) o
  group by o.role, g.object`;

function stateOf(trigger: string) {
  return `case ${trigger}.tgenabled when 'O' then 'enabled' when 'D' then 'disabled'
    when 'A' then 'enabled always' else 'enabled on replicas only' end`;
}

export const catalogueQuery = [relations, parts, foreign, others, behaviour].join('\n  union all');
