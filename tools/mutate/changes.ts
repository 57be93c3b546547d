import type { Random } from '../random.ts';
import type { Column, Table } from './tables.ts';

/** One change to one row, as a statement that returns the accounts that it concerns; no row where it changes nothing. */
export interface Change {
  /** table.column, or the table and what is done to a whole row. */
  what: string;
  /** How, for people. */
  how: string;
  statement: string;
}

// New values by type, in SQL; $ is the column.
const whole = ['$ + 1', '$ - 1', '0', '-$', '$ + 1000', 'null'];
const times = ["'1 microsecond'", "'1 hour'", "'1 day'", "'40 days'"];
const moved = times.flatMap((by) => [`$ + interval ${by}`, `$ - interval ${by}`]);
const values: Record<string, string[]> = {
  bigint: whole,
  integer: whole,
  boolean: ['not $', 'null', 'true', 'false'],
  date: ['$ + 1', '$ - 1', "($ + interval '1 month')::date", "($ - interval '1 month')::date"],
  'timestamp without time zone': [...moved, "'-infinity'", "'infinity'"],
  'timestamp with time zone': [...moved, "'infinity'", 'null', "coalesce($, '2024-02-01Z')"],
  text: ["$ || 'x'", "''", "coalesce($, 'other')", "'forgotten run 99'", 'null'],
  'text[]': ["array_append($, 'other')", "'{other}'", "'{}'", 'null'],
  jsonb: [
    '$ || \'{"other": 1}\'',
    "'{}'",
    'null',
    '$ - (select min(k) from jsonb_object_keys($) as k)',
    '$ - (select max(k) from jsonb_object_keys($) as k)',
    `(select jsonb_object_agg(k, case when jsonb_typeof(v) = 'number' then to_jsonb(v::numeric + 1)
      else v end) from jsonb_each($) as e (k, v))`,
  ],
  bytea: ['set_byte($, 0, 255 - get_byte($, 0))', "'\\x00'"],
};

function valuesOf(table: Table, { name, type }: Column): string[] {
  const found = values[type];
  if (!found) throw new Error(`no changes are known of type ${type}: ${table.name}.${name}`);
  const other = (of: string) =>
    `(select o.${name} from credits_private.${table.name} as o
      where ${of} and o.${name} is distinct from t.${name}
      order by md5(o::text), o::text limit 1)`;
  if (name === 'account_id')
    return [
      "$ || 'x'",
      `(select a.account_id from credits_private.accounts as a where a.account_id <> t.account_id
        order by md5(a.account_id) limit 1)`,
    ];
  return [...found, other('o.account_id = t.account_id'), other('true')];
}

const rowOf = ({ key }: Table, literals: string[]) =>
  key.map((column, i) => `t.${column} = ${literals[i]}`).join(' and ');

function changeOf(table: Table, column: Column, value: string, row: string[]): Change {
  const made = `(${value.replaceAll('$', `t.${column.name}`)})::${column.type}`;
  return {
    what: `${table.name}.${column.name}`,
    how: `${column.name} = ${value.replaceAll('$', column.name).replaceAll(/\s+/g, ' ')} where ${rowOf(table, row)}`,
    statement: `update credits_private.${table.name} as t set ${column.name} = ${made}
      where ${rowOf(table, row)} and ${made} is distinct from t.${column.name}
      returning array[t.account_id, ${row[0]}]`,
  };
}

/** Deletes a row, and copies one under the next number or another name. */
function changesOfRows(table: Table, row: string[]): Change[] {
  const last = table.columns.find(({ name }) => name === table.key.at(-1)) as Column;
  const next = {
    bigint: `(select max(o.${last.name}) + 1 from credits_private.${table.name} as o
      where o.account_id = t.account_id)`,
    date: `t.${last.name} + 400`,
    text: `t.${last.name} || ' again'`,
  }[last.type];
  const columns = table.columns.map(({ name }) => (name === last.name ? next : `t.${name}`));
  return [
    {
      what: `${table.name} (deleted)`,
      how: `delete where ${rowOf(table, row)}`,
      statement: `delete from credits_private.${table.name} as t where ${rowOf(table, row)}
        returning array[t.account_id]`,
    },
    {
      what: `${table.name} (copied)`,
      how: `insert a copy of the row where ${rowOf(table, row)}`,
      statement: `insert into credits_private.${table.name} as n select ${columns.join(', ')}
        from credits_private.${table.name} as t where ${rowOf(table, row)}
        returning array[n.account_id]`,
    },
  ];
}

/** All changes, by what they change. Each list begins with changes to every sort of row. */
export function listChanges(table: Table, random: Random): Map<string, Change[]> {
  const changes = new Map<string, Change[]>();
  const rows = inTurn(table.sorts.map((sort) => shuffle(sort, random)));
  for (const round of rows) {
    const all = round.flatMap((row) => [
      ...table.columns.flatMap((column) =>
        valuesOf(table, column).map((value) => changeOf(table, column, value, row)),
      ),
      ...changesOfRows(table, row),
    ]);
    for (const change of shuffle(all, random))
      changes.set(change.what, [...(changes.get(change.what) ?? []), change]);
  }
  return changes;
}

/** The first item of each list, then the second of each, and so on. */
function inTurn<T>(lists: T[][]): T[][] {
  const most = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length: most }, (_, n) => lists.flatMap((list) => list.slice(n, n + 1)));
}

function shuffle<T>(list: T[], { below }: Random): T[] {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i -= 1) {
    const j = below(i + 1);
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}
