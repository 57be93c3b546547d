import type pg from 'pg';
import type { Log } from '../lib/connect.ts';
import { commit, lockTogether, withRetries } from '../lib/retry.ts';
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
    set local search_path = ''; set local timezone = 'UTC'; set local datestyle = 'ISO, YMD';
    set local lock_timeout = '${patience}ms'; set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0; set local quote_all_identifiers = off`,
  );
}

/** An app that holds one and wants another does not wait for long. */
export const lockTables = (client: pg.ClientBase, { patience }: Parties, tables: string[]) =>
  lockTogether(client, tables.join(', '), 'share row exclusive', patience);
