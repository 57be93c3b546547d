import type pg from 'pg';
import { allRows, settings } from '../../postgres/live.ts';

/** Where and when it was read. */
export interface Moment {
  database: string;
  as_of: Date;
}

/** One read-only transaction, as of one moment, in any database: pg-credits need not be there. */
export async function readOneMoment<T>(
  client: pg.ClientBase,
  look: (moment: Moment) => Promise<T>,
): Promise<T> {
  await client.query(`${settings}; ${allRows}`);
  try {
    await endWithUs(client);
    const { rows } = await client.query(
      'select pg_catalog.current_database() as database, pg_catalog.now() as as_of',
    );
    return await look(rows[0]);
  } finally {
    await client.query('rollback').catch(() => {});
  }
}

/** When the command is interrupted, the server must not go on sorting. Not every platform of it can tell. */
async function endWithUs(client: pg.ClientBase): Promise<void> {
  await client.query('savepoint pg_credits_setting');
  await client
    .query("set local client_connection_check_interval = '1s'")
    .catch(() => client.query('rollback to savepoint pg_credits_setting'));
}
