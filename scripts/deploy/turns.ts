import type pg from 'pg';
import { type Holder, holdersOf, ofAdvisoryLock, readHolders } from '../postgres/holders.ts';
import { codeOf, Failure } from '../shell/explain.ts';
import type { Log } from '../shell/terminal.ts';

/** Work that one session does at a time. The numbers are arbitrary, but every release must use the same ones. */
const keys = { deploy: 7238316498215403n, adoption: 7238316498215404n };
type Turn = keyof typeof keys;

export const takeTurn = (turn: Turn) => `select pg_catalog.pg_advisory_xact_lock(${keys[turn]});`;

/** Two sessions at once take turns. Any role can take that lock, so nobody waits for it forever. */
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
  const which = ofAdvisoryLock(keys[turn]);
  const [holder] = await holdersOf(client, which);
  const seconds = Math.ceil(patience / 1000);
  log(`another ${turn} is running (${wordsOf(holder)}): waiting for it, up to ${seconds} s`);
  try {
    await client.query(`set local lock_timeout = '${Math.max(1, Math.ceil(patience))}ms'`);
    await client.query(takeTurn(turn));
    await client.query('set local lock_timeout = 0');
  } catch (error) {
    if (codeOf(error) !== '55P03') throw error;
    await client.query('rollback');
    const longer = turn === 'deploy' ? ', or with a longer --patience' : '';
    const [now] = await readHolders(client, which);
    const end = now ? `; if it is no ${turn}: select pg_terminate_backend(${now.pid})` : '';
    throw new Failure(
      `another ${turn} has held its lock for ${seconds} s (${wordsOf(now)}): nothing was changed; try again later${longer}${end}`,
      '55P03',
      { cause: error },
    );
  }
}

const wordsOf = (holder: Holder | undefined) => holder?.words ?? 'which is over now';
