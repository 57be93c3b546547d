import { ident } from '../../postgres/roles.ts';
import type { BalancesMapping, CounterMapping } from '../mapping/mapping.ts';
import type { Column } from './tables.ts';

// The mapping's expressions name columns of the app's table, which is t. In a subquery, a column of ours with the same
// name would be taken for theirs: ours have names there that no app has.

/** What the ledger has in place of a column of balances. */
export function balanceFigure({ account_id, where }: BalancesMapping, column: Column): string {
  const ours = `select e."pg-credits balance"
    from (select x.account_id as "pg-credits account", x.entry_id as "pg-credits entry",
      x.balance_after as "pg-credits balance" from credits.entries as x) as e
    where e."pg-credits account" = (${account_id})::text
    order by e."pg-credits entry" desc limit 1`;
  return figure(ours, where, column);
}

/** What the usage counters have in place of a column of counters: the periods that begin in its window. */
export function counterFigure(counter: CounterMapping, column: Column): string {
  const { account_id, api_key_id, since, counts, where } = counter;
  const conditions = [`u."pg-credits account" = (${account_id})::text`];
  if (api_key_id !== undefined) conditions.push(`u."pg-credits key" = (${api_key_id})::text`);
  if (since !== undefined)
    conditions.push(
      `u."pg-credits period" >= (((${since})::timestamptz) at time zone 'UTC')::date`,
    );
  const ours = `select sum(u."pg-credits figure")
    from (select x.account_id as "pg-credits account", x.api_key_id as "pg-credits key", x.period as "pg-credits period",
      x.${counts === 'calls' ? 'calls' : 'net_used'} as "pg-credits figure" from credits.usage as x) as u
    where ${conditions.join(' and ')}`;
  return figure(ours, where, column);
}

function figure(ours: string, where: string | undefined, { name, type }: Column): string {
  const value = `coalesce((${ours}), 0)`;
  const chosen =
    where === undefined ? value : `case when (${where}) then ${value} else t.${ident(name)} end`;
  return `(${chosen})::${type}`;
}
