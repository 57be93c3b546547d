import pg from 'pg';
import type { Mapping } from '../mapping/mapping.ts';
import { source } from '../mapping/sources.ts';

// The statements that read the app's tables. What an account has is spread over up to three of
// them, and any of them may be the only one that knows it.

type Part = 'accounts' | 'balances' | 'transactions';
const parts = ['accounts', 'balances', 'transactions'] as const;

const { builtins } = pg.types;
/** In which type ids are compared, so that an index on the app's own column serves. */
const families: Record<number, string | undefined> = {
  [builtins.INT2]: 'bigint',
  [builtins.INT4]: 'bigint',
  [builtins.INT8]: 'bigint',
  [builtins.UUID]: 'uuid',
  [builtins.TEXT]: 'text',
  [builtins.VARCHAR]: 'text',
};

/** The same mapping, of the accounts $1 only. */
export async function ofSome(client: pg.ClientBase, mapping: Mapping): Promise<Mapping> {
  const types = new Set<string | undefined>();
  for (const part of parts) if (mapping[part]) types.add(await familyOf(client, mapping, part));
  // An id of one table need not be one in the type of another: then all are compared as text.
  const [type = 'text'] = types.size === 1 ? types : [];
  const some: Mapping = { ...mapping };
  for (const part of parts) Object.assign(some, { [part]: narrowed(mapping[part], type) });
  return some;
}

/** Of a column as it is; an expression has none. */
async function familyOf(client: pg.ClientBase, mapping: Mapping, part: Part) {
  const of = mapping[part];
  const { fields } = await client.query(`select ${of?.account_id} from ${of?.table} as t limit 0`);
  return fields[0]?.columnID ? families[fields[0].dataTypeID] : undefined;
}

function narrowed<T extends { account_id: string; where?: string }>(
  of: T | undefined,
  type: string,
) {
  if (!of) return of;
  const id = type === 'text' ? `(${of.account_id})::text` : `(${of.account_id})`;
  const some = `${id} = any ($1::text[]::${type}[])`;
  return { ...of, where: of.where === undefined ? some : `(${of.where}) and ${some}` };
}

/** Per account: balance, total and number of its transactions; null where the app has no balance of it. */
export const surveyQuery = (mapping: Mapping) => `
  with figures as materialized (${figures(mapping, `${source(mapping, 'transactions')} as t`)})
  select i.account_id, ${balance(mapping)}::text as balance,
    coalesce(f.total, 0)::text as total, coalesce(f.transactions, 0)::text as transactions
  from (
    select a.account_id from ${source(mapping, 'accounts')} as a
    union select b.account_id from ${source(mapping, 'balances')} as b
    union select f.account_id from figures as f
  ) as i
  left join figures as f using (account_id)
  left join ${source(mapping, 'balances')} as b using (account_id)
  order by i.account_id collate "C"`;

/**
 * The accounts $1, of one snapshot: first a row for each account with its figures and settings,
 * then, for a history, one for each transaction, in order, as the import takes it.
 */
export function batchQuery(some: Mapping, withTransactions: boolean): string {
  const transactions = `
    union all
    select t.account_id, 1, t.created_at, t.position, row_to_json((select x from (
      select t.transaction_id, t.amount, t.created_at, t.is_refund, t.refunded_transaction_id,
        t.kind, t.api_key_id, t.operation, t.run_id) as x))::text
    from transactions as t`;
  return `
  with transactions as materialized (select t.* from ${source(some, 'transactions')} as t),
  figures as (${figures(some, 'transactions as t')})
  select r.account_id, r.data
  from (
    select i.account_id, 0 as step, null::timestamptz as created_at, null as position,
      row_to_json((select x from (
        select ${balance(some)}::text as balance, coalesce(f.total, 0)::text as total,
          coalesce(f.transactions, 0)::text as transactions, f.first_at, a.unit, a.scale,
          a.time_zone, a.anchor_day, (select pg_current_snapshot())::text as snapshot) as x))::text
        as data
    from unnest($1::text[]) as i (account_id)
    left join figures as f using (account_id)
    left join ${source(some, 'balances')} as b using (account_id)
    left join ${source(some, 'accounts')} as a using (account_id)
    ${withTransactions ? transactions : ''}
  ) as r
  order by r.step, r.account_id collate "C", r.created_at, r.position`;
}

// The moment of the first one that has one: -infinity is no moment to begin at.
const figures = (mapping: Mapping, transactions: string) => `
    select t.account_id, sum(t.amount) as total, count(*) as transactions,
      min(t.created_at) filter (where isfinite(t.created_at)) as first_at,
      ${lastBalance(mapping)} as last_balance
    from ${transactions}
    group by t.account_id`;

export const hasLastBalance = ({ balances, transactions }: Mapping) =>
  balances === undefined && transactions.balance_after !== undefined;

const lastBalance = (mapping: Mapping) =>
  hasLastBalance(mapping)
    ? '(array_agg(t.balance_after order by t.created_at desc, t.position desc))[1]'
    : 'null::bigint';

const balance = (mapping: Mapping) => (hasLastBalance(mapping) ? 'f.last_balance' : 'b.balance');

/** Is there an index by which one account's transactions are found? In the caller's transaction. */
export async function isIndexed(client: pg.ClientBase, some: Mapping): Promise<boolean> {
  await client.query('savepoint pg_credits_index; set local enable_seqscan = off');
  // A type that no id is of would be an error: none is wanted.
  const { rows } = await client.query(
    `explain (format json) select from ${source(some, 'transactions')} as t`,
    [[]],
  );
  await client.query('rollback to savepoint pg_credits_index');
  return JSON.stringify(rows).includes('"Index Cond"');
}
