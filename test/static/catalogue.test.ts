import type pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { readSources, statementsIn } from './sources.ts';
import { calls, dotted, find } from './tree.ts';

const db = useDatabase();
let client: pg.Client;
beforeAll(async () => {
  client = await db.connect();
});

// What deploy keeps for itself is of no account: node-pg-migrate makes the table of migrations, with its sequence.
const ours = `
  with space as (
    select n.oid from pg_catalog.pg_namespace as n where n.nspname in ('credits', 'credits_private')
  ), relation as (
    select c.*, c.oid::regclass::text as name
    from pg_catalog.pg_class as c join space on space.oid = c.relnamespace
    where c.relname !~ '^(migrations|applied_files)(_id_seq|_pkey)?$'
  ), routine as (
    select p.*, p.oid::regprocedure::text as name
    from pg_catalog.pg_proc as p join space on space.oid = p.pronamespace
  ), composite as (
    select t.*, t.oid::regtype::text as name
    from pg_catalog.pg_type as t join space on space.oid = t.typnamespace
    where t.typtype in ('d', 'e') or t.typrelid in (select oid from relation where relkind = 'c')
  ), key as (
    select c.*, r.name || ' ' || c.conname as name
    from pg_catalog.pg_constraint as c join relation as r on r.oid = c.conrelid
    where c.contype in ('c', 'f', 'p', 'u', 'x')
  )`;

const first = (relation: string, columns: string) =>
  `(select a.attname from pg_catalog.pg_attribute as a
    where a.attrelid = ${relation} and a.attnum = ${columns})`;

/** What a private view reads. */
const readBy = (view: string) =>
  `select d.refobjid from pg_catalog.pg_rewrite as w
   join pg_catalog.pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
   where w.ev_class = 'credits_private.${view}'::regclass and d.refclassid = 'pg_class'::regclass
     and d.refobjid <> w.ev_class`;

/** For each promise, a query for what breaks it, and statements that break it. */
const checks: Record<string, { breaches: string; planted: string[] }> = {
  'every public function, view and type has a comment': {
    breaches: `
      select name from routine where name like 'credits.%' and obj_description(oid, 'pg_proc') is null
      union all select name from relation where name like 'credits.%' and relkind <> 'c'
        and obj_description(oid, 'pg_class') is null
      union all select name from composite where name like 'credits.%'
        and obj_description(oid, 'pg_type') is null`,
    planted: [
      'comment on function credits.settle_due(int) is null',
      'comment on view credits.usage is null',
      `create type credits.t as (a int)`,
    ],
  },
  'every function has the search_path pg_temp': {
    breaches: `select name from routine where ('search_path=pg_temp' = any (proconfig)) is not true`,
    planted: [
      'alter function credits.settle_due(int) reset search_path',
      'alter function credits_private.settle_due_at(int, timestamptz) set search_path = pg_catalog',
    ],
  },
  'no type is for PUBLIC (of all else, credits.discrepancies knows)': {
    breaches: `select t.name from composite as t
      cross join lateral aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) as a
      where a.grantee = 0`,
    planted: ['grant usage on type credits_private.draw to public'],
  },
  'no function belongs to a superuser': {
    breaches: `select f.name from routine as f
      join pg_catalog.pg_roles as r on r.oid = f.proowner and r.rolsuper`,
    planted: [
      'alter function credits_private.settle_due_at(int, timestamptz) owner to current_user',
    ],
  },
  'no constraint or index has a name that Postgres made up': {
    breaches: `
      select name from key where conname ~ '_(pkey|key|fkey|check|excl)[0-9]*$'
      union all select name from relation where relkind = 'i' and relname ~ '_idx[0-9]*$'`,
    planted: [
      'alter table credits_private.grants add check (amount > 0)',
      'alter table credits_private.holds add foreign key (account_id) references credits_private.accounts',
      'create index on credits_private.entries (run_id)',
    ],
  },
  'every table has a primary key': {
    breaches: `select name from relation as r where r.relkind in ('r', 'p')
      and not exists (select from key where conrelid = r.oid and contype = 'p')`,
    planted: ['create table credits_private.t (account_id text)'],
  },
  'every key begins with account_id': {
    breaches: `
      select name from key where contype in ('p', 'u', 'f', 'x') and (
        ${first('conrelid', 'conkey[1]')} <> 'account_id'
        or contype = 'f' and ${first('confrelid', 'confkey[1]')} <> 'account_id')
      union all select r.name from relation as r
      join pg_catalog.pg_index as i on i.indexrelid = r.oid and i.indisunique and not i.indisprimary
      where ${first('i.indrelid', 'i.indkey[0]')} is distinct from 'account_id'`,
    planted: [
      'create table credits_private.t (id int constraint c primary key)',
      'create unique index i on credits_private.entries (run_id)',
      'create unique index i on credits_private.entries (lower(account_id))',
      `alter table credits_private.limits add constraint c foreign key (limit_id)
       references credits_private.accounts (account_id)`,
    ],
  },
  'account_id is a text in the collation of the database': {
    breaches: `
      select r.name from relation as r
      join pg_catalog.pg_attribute as a on a.attrelid = r.oid and a.attname = 'account_id'
      where r.relkind <> 'i' and (a.atttypid <> 'text'::regtype
        or a.attcollation <> 'pg_catalog."default"'::regcollation)
      union all select f.name from routine as f
      cross join lateral unnest(f.proargnames, coalesce(f.proallargtypes, f.proargtypes)) as a (name, type)
      where a.name in ('account_id', 'p_account_id') and a.type <> 'text'::regtype`,
    planted: [
      'create view credits.v as select account_id::varchar from credits_private.accounts',
      'create table credits_private.t (account_id text collate "C")',
      'create function credits.f(p_account_id uuid) returns int language sql return 1',
      `create function credits.f(p_a int, out account_id uuid) language sql return null::uuid`,
    ],
  },
  'no function and no type is made of the row of a table or view': {
    breaches: `
      select distinct u.name from (
        select f.name, a.type from routine as f
        cross join unnest(f.proargtypes::oid[] || f.proallargtypes || f.prorettype) as a (type)
        union all select c.name, a.atttypid from composite as c
        join pg_catalog.pg_attribute as a on a.attrelid = c.typrelid
      ) as u
      join pg_catalog.pg_type as t on t.oid = u.type
      join pg_catalog.pg_type as e on e.oid in (t.oid, t.typelem)
      join relation as r on r.oid = e.typrelid and r.relkind in ('r', 'p', 'v')`,
    planted: [
      `create function credits_private.f(p_a credits_private.grants) returns int
       language sql return 1`,
      `create function credits_private.f(p_a int, out b credits_private.grants[])
       language sql return null::credits_private.grants[]`,
      `create function credits_private.f() returns setof credits.usage
       language sql begin atomic; select u.* from credits.usage as u; end`,
      'create type credits_private.t as (a int, b credits_private.holds)',
    ],
  },
  'a type that stands for the row of a table has its columns': {
    breaches: `
      select p.type as name from (values ('account', 'accounts'), ('entry', 'entries'),
        ('hold', 'holds'), ('spending_limit', 'limits')) as p (type, of)
      where 1 < (
        select count(distinct c.columns) from (
          select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', '
            order by a.attnum) as columns
          from relation as r
          join pg_catalog.pg_attribute as a on a.attrelid = r.oid
            and a.attnum > 0 and not a.attisdropped
          where r.relnamespace = 'credits_private'::regnamespace and r.relname in (p.type, p.of)
          group by r.oid
        ) as c)`,
    planted: [
      'alter table credits_private.accounts add column a int',
      'alter type credits_private.spending_limit drop attribute scope',
      'alter type credits_private.hold alter attribute api_key_id type varchar',
    ],
  },
  'no foreign key changes a row': {
    breaches: `select name from key where contype = 'f' and (confdeltype <> 'a' or confupdtype <> 'a')`,
    planted: [
      `alter table credits_private.limits add constraint c foreign key (account_id)
       references credits_private.accounts on delete cascade`,
      `alter table credits_private.limits add constraint c foreign key (account_id)
       references credits_private.accounts on update set null`,
    ],
  },
  'a trigger is of rows, unless it guards against truncate, and not always enabled': {
    // The bits of tgtype: 1 is a row's, 32 a truncate's.
    breaches: `select r.name || ' ' || t.tgname as name from relation as r
      join pg_catalog.pg_trigger as t on t.tgrelid = r.oid
      where t.tgtype & 33 = 0 or t.tgenabled <> 'O'`,
    planted: [
      `create trigger t after insert on credits_private.grants for each statement
       execute function credits_private.refuse_change('a', 'b')`,
      `alter table credits_private.entries enable always trigger _500_every_change_has_an_entry`,
    ],
  },
  'every table but settle_failures refuses to be truncated': {
    breaches: `select r.name from relation as r
      where r.relkind = 'r' and r.relname <> 'settle_failures' and not exists (
        select from pg_catalog.pg_trigger as t where t.tgrelid = r.oid and t.tgtype & 32 = 32)`,
    planted: [
      'drop trigger _140_holds_are_never_truncated on credits_private.holds',
      'create table credits_private.t (account_id text)',
    ],
  },
  'check_available_is_spendable reads every table that due reads': {
    breaches: `select name from relation
      where oid in (${readBy('due')}) and oid not in (${readBy('check_available_is_spendable')})`,
    planted: [
      `do $$ begin
         execute 'create or replace view credits_private.due as '
           || rtrim(pg_get_viewdef('credits_private.due'), ';')
           || ' union all select l.account_id, clock_timestamp(), 9, null::bigint, ''limit ends'', 0
                from credits_private.limits as l';
       end $$`,
    ],
  },
  'there is no sequence and no identity': {
    breaches: `select name from relation where relkind = 'S'`,
    planted: [
      'create sequence credits_private.s',
      'create table credits_private.t (id bigint generated always as identity)',
      'create table credits_private.t (id bigserial)',
    ],
  },
  'every index is valid': {
    breaches: `select r.name from relation as r join pg_catalog.pg_index as i on i.indexrelid = r.oid
      where not (i.indisvalid and i.indisready and i.indislive)`,
    planted: [
      `update pg_catalog.pg_index set indisvalid = false
       where indexrelid = 'credits_private.holds_open'::regclass`,
    ],
  },
};

describe.each(Object.entries(checks))('%s', (_, { breaches, planted }) => {
  test('holds', async () => {
    expect(await db.query(`${ours} ${breaches}`)).toEqual([]);
  });

  test.each(planted)('finds %s', async (statement) => {
    await client.query('begin');
    try {
      await client.query(statement);
      expect((await client.query(`${ours} ${breaches}`)).rows).toHaveLength(1);
    } finally {
      await client.query('rollback');
    }
  });
});

test.each([
  ['function', 'proname', 'pronamespace', 'pg_proc'],
  ['type', 'typname', 'typnamespace', 'pg_type'],
])('every %s that our SQL names without a schema is of Postgres itself', async (kind, ...of) => {
  const nodes = readSources()
    .flatMap(statementsIn)
    .map(({ node }) => node);
  const named =
    kind === 'function' ? calls(nodes) : find(nodes, 'TypeName').map((t) => dotted(t.names));
  const bare = named
    .map((name) => name.replace(/^pg_catalog\./, ''))
    .filter((n) => !n.includes('.'));
  expect(bare.length).toBeGreaterThan(100);
  const [column, namespace, catalogue] = of;
  const unknown = await db.query(
    `select distinct n.name from unnest($1::text[]) as n (name)
     where not exists (select from pg_catalog.${catalogue} as c
       where c.${column} = n.name and c.${namespace} = 'pg_catalog'::regnamespace)`,
    [[...bare, 'of_somebody_else']],
  );
  expect(unknown).toEqual([{ name: 'of_somebody_else' }]);
});
