import pg from 'pg';
import { Failure } from '../../shell/explain.ts';
import { plural } from '../../shell/format.ts';
import type { Mapping } from './mapping.ts';
import { sourceColumns } from './sources.ts';

type Part = keyof typeof sourceColumns;
type Mapped = { table: string; where?: string } & Record<string, string | undefined>;

const { builtins } = pg.types;
const whole: number[] = [builtins.INT2, builtins.INT4, builtins.INT8, builtins.NUMERIC];
const decimals = (amount: string) =>
  `(${/^\w+$/.test(amount) ? amount : `(${amount})`} * 100)::bigint with scale: "2" in accounts`;
const accepted: Record<string, { types: number[]; hint: string } | undefined> = {
  bigint: {
    types: whole,
    hint: `map it to a whole number, like (amount)::numeric, or ${decimals('amount')}`,
  },
  int: { types: whole, hint: 'map it to a whole number' },
  boolean: { types: [builtins.BOOL], hint: "map it to a condition, like kind = 'refund'" },
  timestamptz: {
    types: [builtins.TIMESTAMPTZ],
    hint: "map it to a moment, like created_at at time zone 'UTC'",
  },
};

/** What no row may lack. */
const needed = new Set([
  'account_id',
  'transaction_id',
  'amount',
  'created_at',
  'balance',
  'value',
]);
/** What no two rows may share. */
const unique: Partial<Record<Part, string>> = {
  accounts: 'account_id',
  balances: 'account_id',
  transactions: 'transaction_id',
};

/**
 * Holds a mapping against the database, in the caller's transaction; throws a Failure with a line for each problem. A
 * table without rows is one, unless it may be empty.
 */
export async function checkMapping(
  client: pg.ClientBase,
  mapping: Mapping,
  mayBeEmpty = false,
): Promise<void> {
  const problems: string[] = [];
  const { counters, ...parts } = mapping;
  const check = async (part: Part, at: string, of: unknown) =>
    problems.push(...(await checkPart(client, part, at, of as Mapped, mayBeEmpty)));
  for (const [part, of] of Object.entries(parts)) await check(part as Part, part, of);
  for (const { name, counts: _, ...of } of counters) await check('counters', `counter ${name}`, of);
  if (problems.length > 0)
    throw new Failure(problems.map((problem) => `mapping: ${problem}`).join('\n'));
}

async function checkPart(
  client: pg.ClientBase,
  part: Part,
  at: string,
  of: Mapped,
  mayBeEmpty: boolean,
) {
  const missing = await checkTable(client, at, of.table);
  if (missing) return [missing];
  const { table, where, ...expressions } = of;
  const problems: string[] = [];
  if (where !== undefined)
    problems.push(...(await checkExpression(client, `${at}.where`, table, where, 'boolean')));
  const numeric: string[] = [];
  for (const [name, text] of Object.entries(expressions)) {
    const type = sourceColumns[part].find((column) => column.name === name)?.type ?? 'text';
    const wrong = await checkExpression(client, `${at}.${name}`, table, text ?? '', type);
    problems.push(...wrong);
    if (type === 'bigint' && wrong.length === 0) numeric.push(name);
  }
  return problems.length > 0 ? problems : checkRows(client, part, at, of, numeric, mayBeEmpty);
}

async function checkTable(client: pg.ClientBase, at: string, table: string) {
  const named = await attempt(client, 'select pg_catalog.to_regclass($1) is not null as found', [
    table,
  ]);
  if (named instanceof Error) return `${at}.table: ${table} is not the name of a table`;
  if (named.rows[0]?.found) return checkReadable(client, at, table);
  const { rows } = await client.query(
    `select pg_catalog.format('%I.%I', n.nspname, c.relname) as name
     from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relname = pg_catalog.split_part($1, '.', -1)
       and n.nspname not in ('pg_catalog', 'information_schema')
     order by 1 limit 3`,
    [table],
  );
  const hint = rows.length > 0 ? `: there is ${rows.map((row) => row.name).join(', ')}` : '';
  return `${at}.table: there is no ${table}${hint}`;
}

/** What keeps the user from all of its columns is said once. */
async function checkReadable(client: pg.ClientBase, at: string, table: string) {
  const result = await attempt(client, `select from ${table} limit 0`);
  if (!(result instanceof Error)) return undefined;
  // The message is in the server's language.
  const hides = (result as pg.DatabaseError).routine === 'check_enable_rls';
  const hint = hides ? ': connect as a role that sees all rows, like one with bypassrls' : '';
  return `${at}.table: ${result.message}${hint}`;
}

async function checkExpression(
  client: pg.ClientBase,
  at: string,
  table: string,
  text: string,
  type: string,
): Promise<string[]> {
  const result = await attempt(client, `select (${text}) from ${table} as t limit 0`);
  if (result instanceof Error) return [`${at}: ${result.message}`];
  const rule = accepted[type];
  const found = result.fields[0]?.dataTypeID ?? 0;
  if (!rule || rule.types.includes(found)) return [];
  const { rows } = await client.query('select pg_catalog.format_type($1, null) as name', [found]);
  return [`${at}: ${text} is ${rows[0].name}: ${rule.hint}`];
}

const rowsWith = (condition: string) => `count(*) filter (where ${condition})`;

async function checkRows(
  client: pg.ClientBase,
  part: Part,
  at: string,
  of: Mapped,
  numeric: string[],
  mayBeEmpty: boolean,
): Promise<string[]> {
  const counts: { expression: string; problem: string; hint: string }[] = [];
  const count = (
    expression: string,
    problem: string,
    hint = 'mend or leave them out, with where',
  ) => counts.push({ expression, problem, hint });
  for (const name of Object.keys(of))
    if (needed.has(name)) count(rowsWith(`(${of[name]}) is null`), `${name} is null`);
  count(
    rowsWith(`pg_catalog.octet_length((${of.account_id})::text) not between 1 and 255`),
    'account_id is not of 1 to 255 bytes',
  );
  for (const name of numeric) {
    count(
      rowsWith(`(${of[name]}) <> pg_catalog.trunc((${of[name]})::numeric)`),
      `${name} has a fraction`,
      `map all figures in the smallest unit, like ${decimals(of[name] ?? '')}`,
    );
    count(rowsWith(`abs(${of[name]}) > 9007199254740991`), `${name} is beyond 2^53 - 1`);
  }
  const key = unique[part];
  if (key) count(`count(*) - count(distinct (${of[key]}))`, `${key} is there before`);
  const where = of.where === undefined ? '' : ` where (${of.where})`;
  const list = counts.map(({ expression }, i) => `${expression} as c${i}`).join(', ');
  const result = await attempt(
    client,
    `select count(*) as rows, ${list} from ${of.table} as t${where}`,
  );
  if (result instanceof Error) return [`${at}: ${result.message}`];
  const [row] = result.rows;
  if (BigInt(row.rows) === 0n && !mayBeEmpty)
    return [`${at}: ${of.table} has no rows${where && ', or none for its where'}`];
  const found = counts.map((each, i) => ({ ...each, rows: BigInt(row[`c${i}`]) }));
  // Rows without an id are no repeats of each other.
  if (found.some(({ problem, rows }) => problem.endsWith('is null') && rows > 0n)) found.pop();
  return found
    .filter(({ rows }) => rows > 0n)
    .map(
      ({ problem, rows, hint }) =>
        `${at}: ${problem} in ${plural(rows, 'row')} of ${of.table}: ${hint}`,
    );
}

/** The result, or the error, after which the transaction is as before. */
async function attempt(client: pg.ClientBase, text: string, values: unknown[] = []) {
  await client.query('savepoint pg_credits_mapping');
  try {
    return await client.query(text, values);
  } catch (error) {
    await client.query('rollback to savepoint pg_credits_mapping');
    return error as Error;
  } finally {
    await client.query('release savepoint pg_credits_mapping').catch(() => {});
  }
}
