import type pg from 'pg';
import type { Log } from '../lib/connect.ts';
import { codeOf, Failure } from '../lib/explain.ts';
import { byCatalogue } from '../lib/retry.ts';

/** What is done by one session at a time. Any numbers do, as long as every release uses the same ones. */
const keys = { deploy: 7238316498215403n, adoption: 7238316498215404n };
type Turn = keyof typeof keys;

export const takeTurn = (turn: Turn) => `select pg_catalog.pg_advisory_xact_lock(${keys[turn]});`;

/** Two at once take turns. Any role can take that lock, so nobody waits for it for ever. */
export async function waitForTurn(
  client: pg.ClientBase,
  turn: Turn,
  patience = 60_000,
  log: Log = () => {},
) {
  const { rows } = await client.query(
    `select pg_catalog.pg_try_advisory_xact_lock(${keys[turn]}) as free`,
  );
  if (rows[0].free) return;
  const holder = await describeHolder(client, keys[turn]);
  const seconds = Math.ceil(patience / 1000);
  log(`another ${turn} is running (${holder.words}): waiting for it, up to ${seconds} s`);
  try {
    await client.query(`set local lock_timeout = '${Math.max(1, Math.ceil(patience))}ms'`);
    await client.query(takeTurn(turn));
    await client.query('set local lock_timeout = 0');
  } catch (error) {
    if (codeOf(error) !== '55P03') throw error;
    await client.query('rollback');
    const longer = turn === 'deploy' ? ', or with a longer --patience' : '';
    const now = await byCatalogue(client, () => describeHolder(client, keys[turn]));
    throw new Failure(
      `another ${turn} has held its lock for ${seconds} s (${now.words}): nothing was changed; try again later${longer}; ` +
        `if it is no ${turn}: select pg_terminate_backend(${now.pid})`,
      '55P03',
      { cause: error },
    );
  }
}

// What other users' sessions are called and do is hidden from most roles; who they are is not.
async function describeHolder(
  client: pg.ClientBase,
  key: bigint,
): Promise<{ words: string; pid: string }> {
  const { rows } = await client.query(`
    select a.pid, coalesce(a.usename, 'unknown') as user, nullif(a.application_name, '') as name, a.state,
      pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - a.xact_start))::int as seconds
    from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and l.classid = ${key >> 32n} and l.objid = ${key & 0xffffffffn}
      and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())`);
  const [row] = rows;
  if (!row) return { words: 'which is over now', pid: 'its pid' };
  const parts = [
    `pid ${row.pid}`,
    `user ${row.user}`,
    row.name,
    row.state,
    row.seconds === null ? null : `transaction open for ${row.seconds} s`,
  ];
  return { words: parts.filter((part) => part !== null).join(', '), pid: String(row.pid) };
}
