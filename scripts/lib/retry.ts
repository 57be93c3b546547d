import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Log } from './connect.ts';
import { codeOf, explain, Failure, isLostConnection } from './explain.ts';
import { isPassing } from './script.ts';

/** Runs a transaction again, whole, until no lock stands in its way or patience is at an end. */
export async function withRetries<T>(
  client: pg.ClientBase,
  patience: number,
  log: Log,
  attempt: (count: number) => Promise<T>,
): Promise<T> {
  const started = Date.now();
  for (let count = 1; ; count += 1) {
    try {
      return await attempt(count);
    } catch (error) {
      const holders = await giveUpOrWait(client, error);
      const waited = Math.round((Date.now() - started) / 1000);
      if (Date.now() - started >= patience)
        throw new Failure(
          `no lock within ${waited} s and ${count} attempts (${holders}): nothing was changed; try again later`,
          codeOf(error),
          { cause: error },
        );
      if ((count & (count - 1)) === 0) log(`callers are busy (${holders}): trying again`);
    }
    await sleep(Math.min(2000, 50 * 2 ** count) * (0.5 + Math.random()));
  }
}

/** Throws what a repetition would not cure; else says who was in the way. */
async function giveUpOrWait(client: pg.ClientBase, error: unknown): Promise<string> {
  if (error instanceof Failure) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
  if (isLostConnection(error))
    throw new Failure(`${explain(error)}: nothing was changed; run it again`, codeOf(error), {
      cause: error,
    });
  await client.query('rollback');
  if (!isPassing(error)) throw error;
  return describeHolders(client);
}

async function describeHolders(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query(holdersQuery);
  const lines = rows.map(
    (row) =>
      `pid ${row.pid}, ${row.name}${row.state ? `, ${row.state}` : ''}` +
      (row.seconds === null ? '' : `, transaction open for ${row.seconds} s`),
  );
  return lines.length > 0
    ? `held by ${lines.join('; ')}`
    : 'held by transactions that are over now';
}

// What other users' sessions are called and do is hidden from most roles; who they are is not.
const holdersQuery = `
  select distinct a.pid, a.state, a.xact_start,
    coalesce(nullif(a.application_name, ''), nullif(a.backend_type, 'client backend'), a.usename, 'unknown') as name,
    pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - a.xact_start))::int as seconds
  from pg_catalog.pg_locks l
  join pg_catalog.pg_stat_activity a on a.pid = l.pid
  join pg_catalog.pg_class c on c.oid = l.relation
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where l.granted and l.pid <> pg_catalog.pg_backend_pid() and n.nspname in ('credits', 'credits_private')
    and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  order by a.xact_start limit 3`;

/**
 * The first lock of a deploy that changes anything is the accounts table's, in exclusive mode: callers then wait
 * in front of it, holding nothing that the rest of the deploy needs. Whoever does hold something (it read a view
 * before, in the same transaction) waits for us while we wait for it, and would be the one to fail, once it has
 * waited for deadlock_timeout. So all our waiting ends before the first of them can have waited that long.
 */
export class AccountsLock {
  private since: number | undefined;
  private readonly client: pg.ClientBase;
  private readonly timeout: number;
  private readonly deadlockTimeout: number;
  private readonly attempt: number;

  constructor(client: pg.ClientBase, timeout: number, deadlockTimeout: number, attempt: number) {
    if (timeout < 1 || timeout >= deadlockTimeout)
      throw new Failure(
        `--lock-timeout ${timeout}: it must be less than the server's deadlock_timeout (${deadlockTimeout} ms), or callers would fail`,
      );
    this.client = client;
    this.timeout = timeout;
    this.deadlockTimeout = deadlockTimeout;
    this.attempt = attempt;
  }

  async take() {
    if (this.since !== undefined) return;
    this.since = Date.now();
    // Under steady load from transactions that read a view and then deduct, there is always one that stands in
    // our way. Every second attempt stops them at the views, and lets those go on that have passed there.
    if (this.attempt % 2 === 0) await this.lockViews();
    await this.client.query(
      `${this.prelude()}lock table credits_private.accounts in exclusive mode`,
    );
  }

  /** Goes in front of what may wait for a lock. */
  prelude(): string {
    if (this.since === undefined) return '';
    const left = this.since + this.deadlockTimeout - 100 - Date.now();
    return `set local lock_timeout = '${Math.max(1, Math.min(this.timeout, left))}ms'; `;
  }

  // Locking a view locks all that it reads: those that read the system catalogue are left alone.
  // lock_timeout is for each lock, statement_timeout for all of them.
  private async lockViews() {
    const { rows } = await this.client.query(viewsQuery);
    if (!rows[0].list) return;
    await this.client.query(`${this.prelude()}set local statement_timeout = '${this.timeout}ms'`);
    try {
      await this.client.query(`lock table ${rows[0].list} in access exclusive mode`);
    } catch (error) {
      throw codeOf(error) === '57014' ? Object.assign(error as object, { code: '55P03' }) : error;
    }
    await this.client.query('set local statement_timeout = 0');
  }
}

const viewsQuery = `
  select pg_catalog.string_agg(pg_catalog.format('credits.%I', relname), ', ' order by relname) as list
  from pg_catalog.pg_class where relkind = 'v'
    and relnamespace = (select n.oid from pg_catalog.pg_namespace n where n.nspname = 'credits')
    and pg_catalog.pg_get_viewdef(oid) !~* '\\m(from|join) \\(*pg_'`;
