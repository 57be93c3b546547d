import type pg from 'pg';
import { printable } from '../lib/format.ts';
import type { Mapping } from './mapping.ts';
import { asOwner, type Parties } from './parties.ts';
import { source } from './sources.ts';
import { ours } from './views.ts';

/** What the ledger booked since the cutover, and the app has no row for. */
export interface Homeless {
  account_id: string;
  amount: bigint;
  /** The table that has no row of the account. */
  table: string;
  /** Whether at least its transactions were written. */
  written: boolean;
}

export async function findHomeless(client: pg.ClientBase, mapping: Mapping, since: string) {
  const { accounts, balances } = mapping;
  const known = accounts ? 'accounts' : 'balances';
  const { rows } = await client.query(
    `select o.account_id, o.amount::text, o.written
     from (
       select x.account_id, sum(x.amount) as amount,
         x.account_id in (select k.account_id from ${source(mapping, known)} as k where k.account_id is not null) as written
       from ${ours(since)} as x
       group by x.account_id
     ) as o
     where not o.written or (${balances !== undefined}
       and o.account_id not in (select b.account_id from ${source(mapping, 'balances')} as b where b.account_id is not null))
     order by o.account_id`,
  );
  return rows.map(
    ({ account_id, amount, written }): Homeless => ({
      account_id,
      amount: BigInt(amount),
      table: (written ? balances?.table : mapping[known]?.table) ?? '',
      written: written === true,
    }),
  );
}

export const describeHomeless = ({ account_id, amount, table, written }: Homeless) =>
  `account ${printable(account_id)}: ${table} has no row of it: of its ${amount} since the cutover, ${written ? 'only the transactions are there' : 'nothing was written back'}`;

/** The accounts that began in the ledger after the cutover are mirrored from now on as those that were adopted. */
export async function adoptNewcomers(client: pg.ClientBase, mapping: Mapping, parties: Parties) {
  const asLedger = (query: string, values: unknown[]) =>
    asOwner(client, parties, () => client.query(query, values));
  const used = await asLedger(newcomers, []);
  const { rows } = await client.query(
    `select i.account_id, i.account_id in (select b.account_id from ${source(mapping, 'balances')} as b) as shown
     from unnest($1::text[]) as i (account_id)
     where i.account_id in (
       select a.account_id from ${source(mapping, 'accounts')} as a
       union select b.account_id from ${source(mapping, 'balances')} as b)`,
    [used.rows.map(({ account_id }) => account_id)],
  );
  await asLedger(record, [
    rows.map(({ account_id }) => account_id),
    rows.map(({ shown }) => shown === true),
  ]);
}

const newcomers = `
  select a.account_id from credits_private.accounts as a
  where not credits_private.is_unused(a)
    and not exists (select from credits_adoption.accounts as x where x.account_id = a.account_id)`;

// A history: the ledger has had all of it. Trusted is what the others' adoption trusted.
const record = `
  insert into credits_adoption.accounts (account_id, book, trust, legacy_balance,
    legacy_transactions, transactions, difference, snapshot)
  select a.account_id, 'history',
    coalesce((select x.trust from credits_adoption.accounts as x order by x.adopted_at desc limit 1), 'transactions'),
    case when i.shown then a.balance end, a.balance,
    (select count(*) from credits.transactions as t where t.account_id = a.account_id and t.amount <> 0),
    0, pg_current_snapshot()
  from unnest($1::text[], $2::boolean[]) as i (account_id, shown)
  join credits_private.accounts as a using (account_id)`;
