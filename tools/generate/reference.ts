import type pg from 'pg';

interface Column {
  name: string;
  type: string;
  comment: string | null;
}

interface Parameter {
  name: string;
  type: string;
  default: string | null;
}

interface Entry {
  name: string;
  comment: string | null;
  roles: string[];
  columns: Column[];
}

interface Routine extends Entry {
  parameters: Parameter[];
  result: string;
  set: boolean;
}

/** sql/README.md: what the comments on the schema credits say, as one page. */
export async function readReference(client: pg.ClientBase): Promise<string> {
  const { rows: functions } = await client.query<Routine>(functionsQuery);
  const { rows: views } = await client.query<Entry>(viewsQuery);
  const { rows: roles } = await client.query<{ name: string; comment: string | null }>(rolesQuery);
  const { rows: schema } = await client.query<{ comment: string | null }>(
    `select pg_catalog.obj_description(n.oid, 'pg_namespace') as comment
    from pg_catalog.pg_namespace n where n.nspname = 'credits'`,
  );
  const sections = [
    '# The schema `credits`',
    '<!-- Made from the comments in sql/ by `npm run generate`: change those. -->',
    schema[0]?.comment?.trim() ?? '',
    contents(functions, views),
    '## Functions',
    ...functions.flatMap(describeFunction),
    '## Views',
    ...views.flatMap(describeView),
    '## Roles',
    ...roles.flatMap((role) => describeRole(role, functions, views)),
  ];
  const text = sections.filter((section) => section !== '').join('\n\n');
  return `${text.replaceAll('timestamp with time zone', 'timestamptz').replace(/[ \t]+$/gm, '')}\n`;
}

const links = (entries: Entry[]) =>
  entries.map(({ name }) => `  - [\`${name}\`](#${name})`).join('\n');

const contents = (functions: Entry[], views: Entry[]) =>
  `- [Functions](#functions)\n${links(functions)}\n- [Views](#views)\n${links(views)}\n- [Roles](#roles)`;

function describeFunction(routine: Routine): string[] {
  const { name, parameters, comment, columns, roles } = routine;
  const list = parameters.map((each) => {
    const value = each.default === null ? '' : ` = ${shortDefault(each.default)}`;
    return `  ${each.name} ${each.type}${value}`;
  });
  const signature = `credits.${name}(\n${list.join(',\n')}\n)`;
  return [
    `### ${name}`,
    `\`\`\`sql\n${signature} returns ${describeResult(routine)}\n\`\`\``,
    (comment ?? '').trim(),
    columns.some((column) => column.comment) ? columnTable(columns) : '',
    callers('Callers', roles),
  ];
}

function describeResult({ result, columns, set }: Routine): string {
  const many = set ? 'setof ' : '';
  if (columns.length === 0) return many + result;
  return `${many}(${columns.map(({ name, type }) => `${name} ${type}`).join(', ')})`;
}

// '{}'::jsonb and NULL::text repeat the type, which the parameter already shows.
const shortDefault = (text: string) =>
  text.replace(/^('(?:[^']|'')*'|NULL)::[\w ]+(\[\])?$/, '$1').replace(/^NULL$/, 'null');

function describeView({ name, comment, columns, roles }: Entry): string[] {
  return [`### ${name}`, (comment ?? '').trim(), columnTable(columns), callers('Readers', roles)];
}

function columnTable(columns: Column[]): string {
  const documented = columns.some((column) => column.comment);
  const cell = (text: string) => text.replaceAll('|', '\\|').replace(/\s+/g, ' ').trim();
  const head = documented ? '| column | type | |\n|---|---|---|' : '| column | type |\n|---|---|';
  const rows = columns.map(({ name, type, comment }) => {
    const about = documented ? ` ${cell(comment ?? '')} |` : '';
    return `| \`${name}\` | ${type} |${about}`;
  });
  return [head, ...rows].join('\n');
}

const callers = (word: string, roles: string[]) =>
  roles.length === 0
    ? `${word}: the owner only.`
    : `${word}: ${roles.map((role) => `\`${role}\``).join(', ')}.`;

function describeRole(
  { name, comment }: { name: string; comment: string | null },
  functions: Entry[],
  views: Entry[],
): string[] {
  const of = (entries: Entry[]) =>
    entries
      .filter((entry) => entry.roles.includes(name))
      .map((entry) => `[\`${entry.name}\`](#${entry.name})`)
      .join(', ');
  const [calls, reads] = [of(functions), of(views)];
  return [
    `### ${name}`,
    (comment ?? '').trim(),
    calls === '' ? '' : `Calls ${calls}.`,
    reads === '' ? '' : `Reads ${reads}.`,
    name === 'credits_owner' ? 'Owns everything, and logs in nowhere.' : '',
  ];
}

const rolesOf = (acl: string, owner: string) => `array(
  select pg_catalog.pg_get_userbyid(x.grantee)::text from pg_catalog.aclexplode(${acl}) x
  where x.grantee not in (0, ${owner}) and x.privilege_type in ('EXECUTE', 'SELECT')
  order by 1)`;

const columnsOf = (relation: string) => `coalesce((
  select pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
    'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
    'comment', pg_catalog.col_description(a.attrelid, a.attnum)) order by a.attnum)
  from pg_catalog.pg_attribute a
  where a.attrelid = ${relation} and a.attnum > 0 and not a.attisdropped), '[]')`;

const functionsQuery = `
  select p.proname as name, pg_catalog.obj_description(p.oid, 'pg_proc') as comment,
    ${rolesOf('p.proacl', 'p.proowner')} as roles,
    case when t.typtype = 'c' then ${columnsOf('t.typrelid')} else '[]' end as columns,
    coalesce((
      select pg_catalog.json_agg(pg_catalog.json_build_object('name', p.proargnames[i.n],
        'type', pg_catalog.format_type(i.type, null),
        'default', pg_catalog.pg_get_function_arg_default(p.oid, i.n::int)) order by i.n)
      from pg_catalog.unnest(p.proargtypes) with ordinality as i (type, n)), '[]') as parameters,
    pg_catalog.format_type(p.prorettype, null) as result, p.proretset as set
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_type t on t.oid = p.prorettype
  where n.nspname = 'credits'
  order by p.proname collate "C", p.pronargs`;

const viewsQuery = `
  select c.relname as name, pg_catalog.obj_description(c.oid, 'pg_class') as comment,
    ${rolesOf('c.relacl', 'c.relowner')} as roles, ${columnsOf('c.oid')} as columns
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'credits' and c.relkind = 'v'
  order by c.relname collate "C"`;

const rolesQuery = `
  select r.rolname as name, pg_catalog.shobj_description(r.oid, 'pg_authid') as comment
  from pg_catalog.pg_roles r
  where r.rolname in ('credits_owner', 'credits_spender', 'credits_granter', 'credits_auditor')
  order by pg_catalog.array_position(
    array['credits_spender', 'credits_granter', 'credits_auditor', 'credits_owner'], r.rolname::text)`;
