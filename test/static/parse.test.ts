import { describe, expect, test } from 'vitest';
import { documents } from '../support/document.ts';
import { rules } from './rules.ts';
import { parseSource, read, readSources, sqlFiles } from './sources.ts';

// What the parser of Postgres says of our SQL, without a database.
const sources = readSources();

test('every function and view of migrations/ and sql/ was read', () => {
  const statements = sources.flatMap((source) => source.statements);
  const text = sources.map((source) => source.text).join('\n');
  const written = (what: RegExp) => text.match(what)?.length;
  const kinds = (kind: string) => statements.filter((s) => kind in s).length;
  expect(kinds('CreateFunctionStmt')).toBe(written(/^create or replace function /gm));
  expect(kinds('ViewStmt')).toBe(written(/^create or replace view /gm));
  expect(kinds('CreateStmt')).toBe(written(/^create table /gm));
  const routines = sources.flatMap((source) => source.routines);
  expect(routines.filter(({ language }) => language === 'plpgsql')).toHaveLength(
    written(/^language plpgsql\b/gm) ?? 0,
  );
  expect(routines.filter((r) => r.statements.length === 0)).toEqual([]);
});

// Those of pgbench have commands of its own, and are run by the tests of the bench.
const ofPgbench = (path: string) => /^\\set /m.test(read(path));
test.each([...sqlFiles('scripts'), ...sqlFiles('tools')].filter((path) => !ofPgbench(path)))(
  '%s is SQL',
  (path) => {
    expect(parseSource(path, read(path)).statements.length).toBeGreaterThan(0);
  },
);

test('the SQL that documents show without running it is SQL', () => {
  const shown = documents().flatMap((path) =>
    [...read(path).matchAll(/^```pgsql\n(.*?)^```$/gms)].map(([, sql = '']) => ({ path, sql })),
  );
  expect(shown.length).toBeGreaterThan(0);
  for (const { path, sql } of shown) parseSource(path, sql);
});

const routine = (body: string, head = 'language plpgsql set search_path = pg_temp') =>
  `create or replace function credits_private.f(p_account_id text) returns void ${head} as $$ ${body} $$;`;
const inBody = (...statements: string[]) => routine(`begin ${statements.join('; ')}; end`);

const ofTrigger = (statement: string) =>
  inBody(statement).replace('p_account_id text', '').replace('void', 'trigger');

const named = (name: string) => inBody('null').replace('.f(', `.${name}(`);

const publicFunction = inBody('null').replace('credits_private', 'credits');

const view = (query: string) => `create or replace view credits_private.v as ${query}`;

const definer = (statement: string) =>
  routine(
    `begin perform p_account_id collate "default"; ${statement}; end`,
    'language plpgsql security definer',
  ).replace('returns void', 'returns setof int');

const migration = (sql: string) => ({ 'migrations/0009_planted.sql': sql });
const besidesOurs = (sql: string) => ({
  ...migration(sql),
  'sql/ours.sql': `${inBody('null')} create or replace view credits.seen as select 1`,
});

/** For each rule, what must not pass, as a file or more: each of them is one finding. */
const planted: Record<keyof typeof rules, (string | Record<string, string>)[]> = {
  'a function has the search_path pg_temp': [
    routine('select 1', 'language sql'),
    routine('select 1', "language sql set search_path = ''"),
    routine('select 1', 'language sql set search_path = pg_temp, public'),
    routine('select 1', "language sql set work_mem = '1MB'"),
  ],
  'a public function plans to read by an index': [
    routine('select 1', 'language sql').replace('credits_private', 'credits'),
    routine('select 1', 'language sql set enable_seqscan = on').replace(
      'credits_private',
      'credits',
    ),
  ],
  'public functions run as their owner, private ones as their caller': [
    routine('select 1', 'language sql').replace('credits_private', 'credits'),
    routine('select 1', 'language sql security definer'),
    `${routine('select 1', 'language sql security definer')}
     create view credits_private.v as select credits_private.f('a')`,
  ],
  'no statement revokes what every deploy takes away': [
    'revoke all on function credits_private.f(text) from public',
    'revoke execute on all functions in schema credits from app',
  ],
  'a file of sql/functions/ is one public function, itself first, and its comment': [
    { 'sql/functions/f.sql': inBody('null') },
    { 'sql/functions/g.sql': publicFunction },
    { 'sql/functions/f.sql': `-- Why.\n${publicFunction}` },
    { 'sql/functions/f.sql': `${publicFunction} ${inBody('null')}` },
    { 'sql/functions/f.sql': `${publicFunction} grant execute on function credits.f to app` },
    { 'sql/functions/of_holds/f.sql': publicFunction },
  ],
  'a security definer function takes the collation off a text': [
    definer('perform p_account_id'),
    definer('perform credits_private.g(p_account_id => p_account_id)'),
    definer('return next credits_private.g(p_account_id)'),
    definer('return query select 1 where f.p_account_id = 1'),
    definer('perform $1'),
    definer('perform p_account_id collate "C"'),
    definer('perform (p_account_id || 1) collate "default"'),
    definer('raise info using detail = p_account_id'),
    definer('perform p_account_id').replace('p_account_id text', 'p_account_id text[]'),
    definer('perform p_account_id').replace('p_account_id text', 'p_account_id citext'),
    definer('null').replace('begin', 'declare v_a text := p_account_id collate "default"; begin'),
    definer('null').replace('begin', 'declare v_a alias for p_account_id; begin'),
    routine('select p_account_id', 'language sql security definer'),
  ],
  'names have their schema': [
    inBody('perform 1 from accounts'),
    inBody('with c as (select 1) delete from entries using c'),
    inBody('perform f(p_account_id)'),
    routine('declare v_a record := f(p_account_id); begin end'),
    routine('declare v_a int := f(p_account_id); begin end'),
    `create type credits_private.answer as (a int);
     ${routine('declare v_a answer; begin end')}`,
    `create type credits_private.answer as (a int);
     ${inBody('return (null)::answer')}`.replace('returns void', 'returns credits_private.answer'),
    'create view credits.v as select * from entries',
  ],
  'a lock is a statement of its own': [
    inBody('perform from a.b as x join a.c as y on true for update of x'),
    inBody('perform from a.b where exists (select from a.c) for no key update'),
    inBody('perform from a.b where a = credits_private.g() for share'),
    routine('select from a.b, a.c for update', 'language sql'),
  ],
  'a public function waits for deploys, unless it only reads': [
    inBody('null').replace('credits_private', 'credits'),
    inBody('perform from credits_private.accounts for key share').replace(
      'credits_private',
      'credits',
    ),
    inBody('perform from credits_private.accounts where false').replace(
      'credits_private',
      'credits',
    ),
  ],
  'a constant of a call of more than three arguments has its name': [
    inBody("perform credits_private.g('a', 'b', 'c', null)"),
    inBody("perform credits_private.g('a', true, p_c => 1, p_d => 2)"),
    inBody("perform credits_private.g('a', 0, 'c', 'd')"),
    inBody("perform credits_private.g('a', 'b', 'c', '{}'::bigint[])"),
    routine("select credits_private.g('a', 'b', null, 'd')", 'language sql'),
  ],
  'a function calls 2^53 - 1 by its name': [
    inBody('perform least(1, 9007199254740991)'),
    inBody('perform from a.b where c <= 9007199254740991'),
  ],
  'a line of sql/ has 100 columns at most': [{ 'sql/planted.sql': `-- ${'x'.repeat(98)}` }],
  'no update has a volatile value': [
    inBody('update a.b set c = clock_timestamp()'),
    inBody('insert into a.b values (1) on conflict (c) do update set d = pg_catalog.random()'),
    inBody('with x as (update a.b set c = 1 where d = gen_random_uuid()) select'),
    inBody('update a.b set c = credits_private.f(p_account_id)'),
  ],
  'parameters begin with p_, variables with v_': [
    routine('begin end').replace('p_account_id', 'account_id'),
    routine('declare amount int; begin end'),
    routine('declare found_row record; begin end'),
    inBody('for n in 1 .. 2 loop null; end loop'),
  ],
  'no text is executed': [
    inBody(`execute 'select 1'`),
    routine(`declare v_a int; begin for v_a in execute 'select 1' loop null; end loop; end`),
    inBody(`return query execute 'select 1'`).replace('returns void', 'returns setof int'),
  ],
  'no text of a function has a backslash': [
    inBody(`perform 'a' ~ '\\d'`),
    routine(`select 'a\\'`, 'language sql'),
  ],
  'functions read and change rows by account_id': [
    inBody('perform from credits_private.entries as e where e.entry_id = 1'),
    inBody('delete from credits_private.entries where account_id <> p_account_id'),
    inBody(`perform from credits_private.entries as e
      join credits_private.grants as g on g.grant_id = e.grant_id where e.account_id = p_account_id`),
  ],
  'no function takes or returns the row of a table, and no trigger passes its own whole': [
    `create table a.b (c int); ${inBody('null').replace('p_account_id text', 'p_b a.b')}`,
    `create table a.b (c int); ${inBody('null').replace('p_account_id text', 'p_b a.b[]')}`,
    `create table a.b (c int); ${inBody('null').replace('void', 'setof a.b')}`,
    `create view a.b as select 1; ${inBody('null').replace('void', 'a.b')}`,
    ofTrigger('perform credits_private.g(1, new)'),
    ofTrigger('if credits_private.g(old) then return new; end if'),
  ],
  'a name says whether a function raises': [
    named('raise_error').replace('void', 'int'),
    named('check_balance').replace('void', 'boolean'),
    named('require_value').replace('void', 'text'),
    named('refuse_deduction'),
    named('account_is_closed').replace('void', 'credits_private.refusal'),
    named('shortage_refusal').replace('void', 'boolean'),
  ],
  'a function has 70 lines at most': [inBody(...Array(70).fill('\nnull'))],
  'a migration names nothing of sql/': [
    besidesOurs('update a.b set c = credits_private.f(d)'),
    besidesOurs('create table a.b as select from credits.seen'),
    besidesOurs('alter table a.b add constraint c check (credits_private.f(d) > 1)'),
  ],
  'state is in migrations/, behaviour in sql/': [
    migration(inBody('null')),
    migration('create view credits.v as select 1'),
    migration(`comment on table a.b is 'c'`),
    'create table a.b (c int)',
    'create view credits.v as select 1',
    'create trigger t after insert on a.b for each row execute function a.f()',
  ],
  'no migration has a marker of node-pg-migrate': [
    migration('-- Down Migration\nselect 1'),
    migration('select $$\n  --- up migration\n$$'),
  ],
  'there is no sequence and no identity': [
    'create sequence a.b',
    'create table a.b (c bigserial)',
    'create table a.b (c bigint generated by default as identity)',
    `alter table a.b alter column c set default nextval('d')`,
  ],
  'every constraint has a name': [
    'create table a.b (c text primary key)',
    'create table a.b (c text, check (c > 1))',
    'alter table a.b add unique (c)',
    'alter table a.b add column c text references a.d',
  ],
  'a view aggregates in a lateral subquery only with group by': [
    view('select from a.b cross join lateral (select sum(c.d) as d from a.c where c.d = b.d) as s'),
    view(
      'select from a.b left join lateral (select 1 + coalesce(max(c.d), 0) from a.c) as s on true',
    ),
    view('select from a.b, lateral (select b.c union all select count(*) from a.c) as s'),
    view('select from (select from a.b, lateral (select bool_or(b.c) having true) as s) as t'),
  ],
  'a view has columns and constants alone in values': [
    view('select from a.b cross join lateral (values (b.c::text)) as v (c)'),
    view('values (clock_timestamp())'),
    view('select from a.b join (values (1), (2 + 3)) as v (c) on v.c = b.c'),
  ],
  'a view groups by every column that it selects': [
    view('select b.c, b.d, sum(b.e) from a.b group by b.c'),
    view('select b.c, b.d + 1, sum(b.e) from a.b group by 1'),
    view('select from (select lower(b.c), b.c from a.b group by lower(b.c)) as s'),
    view('select b.c from a.b group by b.c having b.d > 1 union all select 1'),
  ],
  'what remains of a grant is read from credits_private.remainders': [
    view('select g.remaining from credits_private.grants as g'),
    inBody(`perform from credits_private.grants as g
      where g.account_id = p_account_id and g.remaining > g.held`),
    inBody(`update a.b set c = (select max(h.last_entry_id) from credits_private.grants as h
      where h.account_id = p_account_id) where account_id = p_account_id`),
  ],
};

describe.each(Object.entries(rules))('%s', (name, rule) => {
  test('holds', () => {
    expect(rule(sources)).toEqual([]);
  });

  test.each(planted[name as keyof typeof rules])('finds %j', (files) => {
    const texts = typeof files === 'string' ? { 'sql/planted.sql': files } : files;
    const bad = Object.entries(texts).map(([path, text]) => parseSource(path, text));
    expect(rule(bad)).toHaveLength(1);
  });
});
