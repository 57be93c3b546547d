import type pg from 'pg';
import { printable } from '../../shell/format.ts';
import { asOwner, type Parties } from '../app/parties.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { source } from '../mapping/sources.ts';
import { ours } from './views.ts';

/** An account of which the ledger has booked something since the cutover. */
export interface Booked {
  account_id: string;
  amount: bigint;
  /** Whether its transactions have a place in the app, and its balance. */
  written: boolean;
  shown: boolean;
}

export async function readBooked(client: pg.ClientBase, mapping: Mapping, since: string) {
  const known = mapping.accounts ? 'accounts' : 'balances';
  const has = (part: 'accounts' | 'balances') =>
    `x.account_id in (select k.account_id from ${source(mapping, part)} as k where k.account_id is not null)`;
  const { rows } = await client.query(
    `select x.account_id, sum(x.amount)::text as amount, ${has(known)} as written,
       ${mapping.balances ? has('balances') : 'true'} as shown
     from ${ours(since)} as x
     group by x.account_id
     order by x.account_id`,
  );
  return rows.map((row): Booked => ({ ...row, amount: BigInt(row.amount) }));
}

export function describeHomeless(
  { accounts, balances }: Mapping,
  { account_id, amount, written }: Booked,
) {
  const table = written ? balances?.table : (accounts ?? balances)?.table;
  return `account ${printable(account_id)}: ${table} has no row of it: of its ${amount} since the cutover, ${written ? 'only the transactions are there' : 'nothing was written back'}`;
}

/** The accounts that began in the ledger after the cutover are mirrored from now on as those that were adopted. */
export async function adoptNewcomers(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
  since: string,
) {
  const asLedger = (query: string, values: unknown[]) =>
    asOwner(client, parties, () => client.query(query, values));
  const used = await asLedger(newcomers, [since]);
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

// What was booked before is not in the app's tables.
const newcomers = `
  select a.account_id from credits_private.accounts as a
  where not credits_private.is_unused(
    a.last_entry_id, a.last_grant_id, a.last_hold_id, a.has_limits, a.closed_at)
    and not exists (select from credits_adoption.accounts as x where x.account_id = a.account_id)
    and not exists (
      select from credits_private.entries as e
      where e.account_id = a.account_id and e.created_at <= $1::timestamptz)`;

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
