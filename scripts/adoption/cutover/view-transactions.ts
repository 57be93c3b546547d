import { ident } from '../../postgres/roles.ts';
import type { Mapping, TransactionsMapping } from '../mapping/mapping.ts';
import { type Column, columnOf, type Table } from './tables.ts';

/** What stands for a transaction of ours in a column of the app's: x is ours, a the app's account. */
interface Value {
  sql: string;
  /** Whether it may be null although the column is mapped. */
  nullable: boolean;
}

export interface TransactionsView {
  /** Ours since the cutover, as rows of the app's table. */
  rows(from: string, columns?: Column[]): string;
  /** A row of each kind, to try whether the table would take them back. */
  samples: string;
  /** What a rollback writes, and what stands against it. */
  written: Column[];
  impossible: string[];
  notes: string[];
}

const isText = (type: string) =>
  /^(text|character varying|"?citext"?|[\w".]*\.citext)(\(\d+\))?$/.test(type);

const patterns: Record<string, string> = {
  uuid: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$',
  bigint: '^-?[0-9]{1,18}$',
  integer: '^-?[0-9]{1,9}$',
};

/** A text of ours in the column's type, null where it is none: one id in another form must not break the view. */
function cast(sql: string, { type }: Column): string | undefined {
  if (isText(type)) return `(${sql})::${type}`;
  const pattern = patterns[type];
  return pattern && `case when ${sql} ~ '${pattern}' then (${sql})::${type} end`;
}

const hash = `pg_catalog.md5(x.account_id || ' ' || x.transaction_id)`;

/** The same id each time it is read, from the account and the transaction: a bigint from 2^52 on, beyond a sequence's. */
function idOf({ type }: Column): string | undefined {
  if (type === 'uuid') return `${hash}::uuid`;
  if (type === 'bigint')
    return `(('x' || pg_catalog.substr(${hash}, 1, 13))::bit(52)::bigint | (1::bigint << 52))`;
  return isText(type) ? `${hash}::uuid::text::${type}` : undefined;
}

/** A moment, or what an expression like `created_at at time zone 'UTC'` was made from. */
function momentOf(table: Table, expression: string): [Column, string] | undefined {
  const plain = columnOf(table, expression);
  if (plain) return [plain, `x.created_at::${plain.type}`];
  const [, inner, zone] = /^\(?(.+?)\)?\s+at\s+time\s+zone\s+('[^']+')$/i.exec(expression) ?? [];
  const column = columnOf(table, inner);
  return column && [column, `(x.created_at at time zone ${zone})::${column.type}`];
}

/** How ours are shown as the app's, or why they can't be. */
export function planTransactions(mapping: Mapping, table: Table): TransactionsView | string {
  const { transactions: of } = mapping;
  const accounts = mapping.accounts ?? mapping.balances;
  const account = columnOf(table, of.account_id);
  const amount = columnOf(table, of.amount);
  const moment = momentOf(table, of.created_at);
  if (!account || !amount || !moment)
    return `its ${!account ? 'account_id' : !amount ? 'amount' : 'created_at'} is an expression, not a column`;
  if (!accounts) return 'neither accounts nor balances are mapped';
  const values = valuesOf(of, table);
  values.set(account.name, { sql: `(a.native)::${account.type}`, nullable: false });
  values.set(amount.name, { sql: `x.amount::${amount.type}`, nullable: false });
  values.set(moment[0].name, { sql: moment[1], nullable: false });
  const where = accounts.where === undefined ? '' : ` where (${accounts.where})`;
  const rows = (from: string, columns = table.columns) => `select
  ${columns.map((column) => `${values.get(column.name)?.sql ?? `null::${column.type}`} as ${ident(column.name)}`).join(',\n  ')}
from (select (${accounts.account_id}) as native from ${accounts.table} as t${where}) as a
join ${from} as x on x.account_id = a.native::text`;
  const id = columnOf(table, of.transaction_id);
  const samples = `(select i.account_id, v.*
    from (select (${accounts.account_id})::text as account_id from ${accounts.table} as t${where} limit 1) as i,
      (values (1::bigint, 'grant', 1::bigint), (2, 'deduction', -1)) as k (transaction_id, kind, amount),
      lateral (select k.*, 0::bigint as balance_after, null::text as api_key_id,
        null::text as operation, null::text as run_id, k.kind as idempotency_key, pg_catalog.now() as created_at) as v)`;
  const mapped = new Set(Object.values(of).map((expression) => columnOf(table, expression)));
  return {
    rows,
    samples,
    ...planRollback(table, values, id, mapped),
    notes: notesOf(table, values, id),
  };
}

function valuesOf(of: TransactionsMapping, table: Table): Map<string, Value> {
  const values = new Map<string, Value>();
  const set = (
    expression: string | undefined,
    make: (column: Column) => string | undefined,
    nullable = true,
  ) => {
    const column = columnOf(table, expression);
    const sql = column && make(column);
    if (column && sql) values.set(column.name, { sql, nullable });
  };
  set(of.transaction_id, idOf, false);
  set(of.balance_after, ({ type }) => `x.balance_after::${type}`, false);
  set(of.kind, (column) => (isText(column.type) ? cast('x.kind', column) : undefined), false);
  set(of.reference, (column) => cast('x.idempotency_key', column));
  set(of.api_key_id, (column) => cast('x.api_key_id', column));
  set(of.operation, (column) => cast('x.operation', column));
  set(of.run_id, (column) => cast('x.run_id', column));
  return values;
}

function planRollback(
  table: Table,
  values: Map<string, Value>,
  id: Column | undefined,
  mapped: Set<Column | undefined>,
) {
  const impossible: string[] = [];
  const written = table.columns.filter((column) => {
    // A sequence goes on counting where it was: its ids are its own.
    const own = column === id && column.filled && column.type !== 'uuid';
    return values.has(column.name) && !column.generated && !own;
  });
  for (const column of table.columns) {
    const value = written.includes(column) ? values.get(column.name) : undefined;
    if (!column.notNull || (value && !value.nullable) || (!value && column.filled)) continue;
    const why = value
      ? 'what is mapped to it may be'
      : mapped.has(column)
        ? `its type ${column.type} does not take what the ledger has for it: give it a default`
        : 'nothing is mapped to it: give it a default';
    impossible.push(`column ${ident(column.name)} of ${table.name} must not be null, and ${why}`);
  }
  return { written, impossible };
}

function notesOf(table: Table, values: Map<string, Value>, id: Column | undefined): string[] {
  const empty = table.columns
    .filter(({ name }) => !values.has(name))
    .map(({ name }) => ident(name));
  return [
    ...(id && values.has(id.name)
      ? [`${ident(id.name)} of a new transaction is made from its account and number in the ledger`]
      : []),
    ...(empty.length > 0 ? [`null in new transactions: ${empty.join(', ')}`] : []),
  ];
}
