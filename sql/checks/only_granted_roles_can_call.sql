-- Only the owner and the roles of sql/roles.sql may call a function or read a table.
create or replace view credits_private.check_only_granted_roles_can_call as
select
  'only_granted_roles_can_call' as invariant,
  null as account_id,
  'nothing' as expected,
  format('%s for %s', x.privilege_type, x.grantee) collate "default" as actual,
  x.object collate "default" as subject
from (
  select f.oid::regprocedure::text as object, f.proowner as owner,
    coalesce(f.proacl, acldefault('f', f.proowner)) as acl
  from pg_catalog.pg_proc as f
  join pg_catalog.pg_namespace as n on n.oid = f.pronamespace
  where n.nspname in ('credits', 'credits_private')
  union all
  select r.oid::regclass::text as object, r.relowner as owner, r.relacl as acl
  from pg_catalog.pg_class as r
  join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
  where n.nspname in ('credits', 'credits_private')
  union all
  select format('%s.%I', r.oid::regclass, c.attname) as object, r.relowner as owner,
    c.attacl as acl
  from pg_catalog.pg_class as r
  join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
  join pg_catalog.pg_attribute as c on c.attrelid = r.oid
  where n.nspname in ('credits', 'credits_private')
  union all
  select n.nspname::text as object, n.nspowner as owner, n.nspacl as acl
  from pg_catalog.pg_namespace as n
  where n.nspname in ('credits', 'credits_private')
) as o
cross join lateral (
  select o.object, p.privilege_type,
    case when p.grantee = 0 then 'PUBLIC' else pg_get_userbyid(p.grantee)::text end as grantee
  from aclexplode(o.acl) as p
  where p.grantee <> o.owner
) as x
where x.grantee not in ('credits_spender', 'credits_granter', 'credits_auditor');
