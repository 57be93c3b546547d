import type pg from 'pg';
import { lockTogether } from '../../postgres/locks.ts';
import { commit, withRetries } from '../../postgres/retry.ts';
import type { Log } from '../../shell/terminal.ts';
import type { Parties } from './parties.ts';

/**
 * A transaction that needs locks of the app's tables. It waits for each but briefly, as whoever comes after it waits
 * behind it, and begins anew, whole, until it gets them.
 */
export const withLocks = <T>(
  client: pg.ClientBase,
  parties: Parties,
  tables: string[],
  log: Log,
  work: () => Promise<T>,
): Promise<T> =>
  withRetries(
    client,
    60_000,
    log,
    async () => {
      await begin(client, parties);
      const result = await work();
      await commit(client);
      return result;
    },
    { who: 'the app is', tables },
  );

async function begin(client: pg.ClientBase, { patience }: Parties) {
  // Nothing of this outlives the transaction: behind a pooler, the session is somebody else's next.
  await client.query(
    `begin isolation level read committed, read write;
    select pg_catalog.set_config('pg_credits.own_path', pg_catalog.current_setting('search_path'), true);
    set local search_path = ''; set local timezone = 'UTC'; set local datestyle = 'ISO, YMD';
    set local lock_timeout = '${patience}ms'; set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0; set local quote_all_identifiers = off`,
  );
}

/** For writes to the app's tables: its triggers may find their tables by the path of whoever writes. */
export async function withOwnPath<T>(client: pg.ClientBase, write: () => Promise<T>): Promise<T> {
  await client.query(
    `select pg_catalog.set_config('search_path', pg_catalog.current_setting('pg_credits.own_path'), true)`,
  );
  const result = await write();
  // What is deferred to the end of the transaction belongs to the write, too.
  await client.query(`set constraints all immediate; set local search_path = ''`);
  return result;
}

/** An app that holds one and wants another does not wait for long. */
export const lockTables = (client: pg.ClientBase, { patience }: Parties, tables: string[]) =>
  lockTogether(client, tables.join(', '), 'share row exclusive', patience);
