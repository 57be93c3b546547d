import type { CounterMapping, Mapping } from './mapping.ts';

// The app's tables as the rest of the adoption sees them: the same columns, whatever theirs are. An
// expression may use the table's columns, and names everything else with its schema. A column that
// is not mapped is null.

interface Column {
  name: string;
  type: string;
}

const columns = (list: string): Column[] =>
  list.split(', ').map((each) => {
    const [name = '', type = ''] = each.split(' ');
    return { name, type };
  });

export const sourceColumns = {
  accounts: columns('account_id text, unit text, scale int, time_zone text, anchor_day int'),
  balances: columns('account_id text, balance bigint'),
  transactions: columns(
    'account_id text, transaction_id text, amount bigint, created_at timestamptz, balance_after bigint, is_refund boolean, refunded_transaction_id text, kind text, reference text, api_key_id text, operation text, run_id text',
  ),
  counters: columns('account_id text, api_key_id text, value bigint, since timestamptz'),
};

type Part = Exclude<keyof Mapping, 'counters'>;
type Expressions = { table: string; where?: string };

/** `select … from the app's table`, as it stands in a query's from clause, in parentheses. */
export function source(mapping: Mapping, part: Part): string {
  return select(mapping[part] as Expressions | undefined, part);
}

export const counterSource = (counter: CounterMapping): string => select(counter, 'counters');

function select(of: Expressions | undefined, part: keyof typeof sourceColumns): string {
  const list = sourceColumns[part].map(({ name, type }) => `${value(of, name, type)} as ${name}`);
  // Transactions come in this order: of a moment, in that of the app's own ids, whatever their type is.
  if (part === 'transactions') list.push(`(${expression(of, 'transaction_id')}) as position`);
  if (!of) return `(select ${list.join(', ')} where false)`;
  const where = of.where === undefined ? '' : ` where (${of.where})`;
  return `(select ${list.join(', ')} from ${of.table} as t${where})`;
}

const expression = (of: Expressions | undefined, name: string): string | undefined =>
  (of as Record<string, string> | undefined)?.[name];

function value(of: Expressions | undefined, name: string, type: string): string {
  const mapped = expression(of, name);
  if (mapped !== undefined) return type === 'bigint' ? whole(mapped, name) : `(${mapped})::${type}`;
  const kind = expression(of, 'kind');
  if (name === 'is_refund')
    return kind ? `coalesce(pg_catalog.lower((${kind})::text) = 'refund', false)` : 'false';
  return `null::${type}`;
}

/** A cast would round. What has a fraction is no figure of credits: its text can't be cast, and says why. */
const whole = (mapped: string, name: string) =>
  `case when (${mapped})::bigint = (${mapped}) then (${mapped})::bigint
    else ('${name} ' || (${mapped})::text || ' is not whole')::bigint end`;
