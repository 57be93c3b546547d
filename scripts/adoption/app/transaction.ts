import type pg from 'pg';
import { retryBriefly } from '../../postgres/retry.ts';

// Nobody's row security hides rows, and no time-out of the user's ends what takes its time.
export const settings = `set local search_path = ''; set local timezone = 'UTC'; set local row_security = off;
  set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres';
  set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0`;

/** Again, whole, if a lock or a conflict was in the way. */
export const inTransaction = <T>(
  client: pg.ClientBase,
  level: string,
  work: () => Promise<T>,
): Promise<T> =>
  retryBriefly(client, async () => {
    await client.query(`begin isolation level ${level}; ${settings}`);
    const result = await work();
    await client.query('commit');
    return result;
  });
