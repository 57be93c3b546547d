import type pg from 'pg';
import { ident } from '../../postgres/roles.ts';
import { Failure } from '../../shell/explain.ts';
import { plural, printable } from '../../shell/format.ts';
import { asOwner, hasAdoption, type Parties } from '../app/parties.ts';
import type { CounterMapping } from '../mapping/mapping.ts';
import { counterSource } from '../mapping/sources.ts';
import type { Column } from './tables.ts';
import type { View } from './views.ts';

/** A view reads what its owner may read. */
export async function checkReader(
  client: pg.ClientBase,
  { table, reads }: View,
  { owner }: Parties,
) {
  for (const name of reads) {
    const { rows } = await client.query(
      `select pg_catalog.has_schema_privilege($1, 'credits', 'usage')
        and pg_catalog.has_table_privilege($1, 'credits.' || $2, 'select') as may`,
      [table.owner, name],
    );
    if (rows[0].may) continue;
    const prefix = /^(.*)credits_owner$/.exec(owner)?.[1] ?? '';
    throw new Failure(
      `${table.owner}, who owns ${table.name}, may not read credits.${name}: an administrator must run: ` +
        `grant ${ident(`${prefix}credits_auditor`)} to ${ident(table.owner)};`,
      '42501',
    );
  }
}

/** Why a counter can't come from the ledger, if it can't. */
export async function counterObjections(client: pg.ClientBase, parties: Parties) {
  const opened = await lastOpening(client, parties);
  return async (counter: CounterMapping, column: Column, figure: string) =>
    (await countsFromBefore(client, counter, opened)) ??
    (await countsWithinAPeriod(client, parties, counter)) ??
    (await saysOtherwise(client, counter, column, figure));
}

async function lastOpening(client: pg.ClientBase, parties: Parties): Promise<string | null> {
  if (!(await hasAdoption(client))) return null;
  const { rows } = await asOwner(client, parties, () =>
    client.query(
      `select max(a.adopted_at)::text as last from credits_adoption.accounts as a where a.book = 'opening'`,
    ),
  );
  return rows[0].last;
}

/** The ledger knows no usage from before an opening balance. */
async function countsFromBefore(
  client: pg.ClientBase,
  counter: CounterMapping,
  opened: string | null,
) {
  if (opened === null) return undefined;
  const query = `select exists (select from ${counterSource(counter)} as c
    where c.since is null or c.since < $1::timestamptz) as earlier`;
  const { rows } = await client.query(query, [opened]);
  return rows[0].earlier
    ? 'it counts from before accounts were adopted with their opening balance, which only --book history knows'
    : undefined;
}

/** The ledger counts by billing period. What lies in periods that are over can be compared: this is about the running one. */
async function countsWithinAPeriod(
  client: pg.ClientBase,
  parties: Parties,
  counter: CounterMapping,
) {
  const { rows } = await client.query(
    `select array_agg(c.account_id) as ids, array_agg((c.since at time zone 'UTC')::date::text) as days
     from (select distinct c.account_id, c.since from ${counterSource(counter)} as c
       where isfinite(c.since) and c.since > pg_catalog.now() - interval '32 days') as c`,
  );
  const found = await asOwner(client, parties, () =>
    client.query(withinQuery, [rows[0].ids, rows[0].days]),
  );
  const [first] = found.rows;
  return (
    first &&
    `of account ${printable(first.account_id)} it counts from ${first.day} on, but the ledger by billing periods, the last from ${first.period}: is the mapping's anchor_day that of the counter?`
  );
}

const withinQuery = `
  select c.account_id, c.day::text, p.period::text
  from unnest($1::text[], $2::date[]) as c (account_id, day)
  join credits_private.accounts as a using (account_id)
  cross join lateral (
    select credits_private.period_at(clock_timestamp(), a.period, a.next_period, a.period_ends_at,
      a.time_zone, a.anchor_day) as period
  ) as p
  where c.day > p.period and c.day < case when p.period = a.period then a.next_period
    else credits_private.next_anchor(p.period, a.anchor_day) end
  order by c.account_id
  limit 1`;

/** Who reads it sees the same figure before and after, and a rollback writes only what has changed since. */
async function saysOtherwise(
  client: pg.ClientBase,
  { table, account_id }: CounterMapping,
  { name }: Column,
  figure: string,
) {
  const { rows } = await client.query(
    `select c.*, count(*) over ()::int as count
     from (select (${account_id})::text as account, t.${ident(name)} as theirs, ${figure} as ours from ${table} as t) as c
     where c.theirs is distinct from c.ours
     order by c.account limit 1`,
  );
  const [first] = rows;
  return (
    first &&
    `${plural(BigInt(first.count), 'row says', 'rows say')} something else than the ledger (account ${printable(first.account)}: ${first.theirs}, the ledger ${first.ours}): correct what is wrong first, or nothing counts there any more`
  );
}
