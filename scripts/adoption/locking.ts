import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Log } from '../lib/connect.ts';
import { codeOf, explain, Failure, isLostConnection } from '../lib/explain.ts';
import { isPassing } from '../lib/script.ts';
import type { Parties } from './parties.ts';

/**
 * A transaction that needs locks of the app's tables. It waits for each but briefly, as whoever comes after it waits
 * behind it, and begins anew, whole, until it gets them.
 */
export async function withLocks<T>(
  client: pg.ClientBase,
  parties: Parties,
  tables: string[],
  log: Log,
  work: () => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await begin(client, parties);
      const result = await work();
      await commit(client);
      return result;
    } catch (error) {
      await client.query('rollback').catch(() => {});
      if (!isPassing(error)) throw error;
      const holders = await describeHolders(client, tables);
      if (Date.now() >= deadline)
        throw new Failure(
          `no lock within a minute (${holders}): nothing was changed; try again later`,
          codeOf(error),
          { cause: error },
        );
      if ((attempt & (attempt - 1)) === 0) log(`the app is busy (${holders}): trying again`);
    }
    await sleep(Math.min(2000, 50 * 2 ** attempt) * (0.5 + Math.random()));
  }
}

async function begin(client: pg.ClientBase, { patience }: Parties) {
  // Nothing of this outlives the transaction: behind a pooler, the session is somebody else's next.
  await client.query(
    `begin isolation level read committed, read write;
    set local search_path = ''; set local timezone = 'UTC'; set local datestyle = 'ISO, YMD';
    set local lock_timeout = '${patience}ms'; set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0; set local quote_all_identifiers = off`,
  );
}

async function commit(client: pg.ClientBase) {
  try {
    const { command } = await client.query('commit');
    if (command !== 'COMMIT') throw new Failure('the server did not commit: nothing was changed');
  } catch (error) {
    if (!isLostConnection(error)) throw error;
    throw new Failure(
      `${explain(error)} while committing: whether it took effect is unknown; run it again, that is safe`,
      codeOf(error),
      { cause: error },
    );
  }
}

/** All at once, within one patience: an app that holds one and wants another does not wait for long. */
export async function lockTables(client: pg.ClientBase, { patience }: Parties, tables: string[]) {
  await client.query(`set local statement_timeout = '${patience}ms'`);
  try {
    await client.query(`lock table ${tables.join(', ')} in share row exclusive mode`);
  } catch (error) {
    throw codeOf(error) === '57014' ? Object.assign(error as object, { code: '55P03' }) : error;
  }
  await client.query('set local statement_timeout = 0');
}

async function describeHolders(client: pg.ClientBase, tables: string[]): Promise<string> {
  const { rows } = await client.query(holdersQuery, [tables]);
  const lines = rows.map(
    ({ pid, name, state, seconds }) =>
      `pid ${pid}, ${name}${state ? `, ${state}` : ''}` +
      (seconds === null ? '' : `, transaction open for ${seconds} s`),
  );
  return lines.length > 0
    ? `held by ${lines.join('; ')}`
    : 'held by transactions that are over now';
}

// What other users' sessions are called and do is hidden from most roles; who they are is not.
const holdersQuery = `
  select distinct a.pid, a.state, a.xact_start,
    coalesce(nullif(a.application_name, ''), a.usename, 'unknown') as name,
    pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - a.xact_start))::int as seconds
  from pg_catalog.pg_locks as l
  join pg_catalog.pg_stat_activity as a on a.pid = l.pid
  where l.granted and l.pid <> pg_catalog.pg_backend_pid()
    and l.relation in (select pg_catalog.to_regclass(t) from pg_catalog.unnest($1::text[]) as t)
    and l.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
  order by a.xact_start limit 3`;
