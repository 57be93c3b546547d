import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { codeOf, explain, Failure, isLostConnection } from '../shell/explain.ts';
import { plural } from '../shell/format.ts';
import type { Log } from '../shell/terminal.ts';
import { ofTables, readHolders } from './holders.ts';
import { isPassing } from './script.ts';

/** Who may be in the way, and of what: our own schemas, or these tables. */
export interface Others {
  who: string;
  tables: string[] | null;
}

const callers: Others = { who: 'callers are', tables: null };

/** Runs a transaction again, whole, until no lock stands in its way or patience is at an end. */
export async function withRetries<T>(
  client: pg.ClientBase,
  patience: number,
  log: Log,
  attempt: (count: number) => Promise<T>,
  others = callers,
): Promise<T> {
  const started = Date.now();
  for (let count = 1; ; count += 1) {
    try {
      return await attempt(count);
    } catch (error) {
      const holders = await giveUpOrWait(client, error, others);
      const waited = Math.round((Date.now() - started) / 1000);
      if (Date.now() - started >= patience)
        throw new Failure(
          `no lock within ${waited} s and ${plural(BigInt(count), 'attempt')} (${holders}): nothing was changed; try again later`,
          codeOf(error),
          { cause: error },
        );
      if ((count & (count - 1)) === 0) log(`${others.who} busy (${holders}): trying again`);
    }
    await sleep(Math.min(2000, 50 * 2 ** count) * (0.5 + Math.random()));
  }
}

/** A short transaction: again, whole, if a lock or a conflict was in the way, but not for long. */
export async function retryBriefly<T>(
  client: pg.ClientBase,
  transact: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await transact();
    } catch (error) {
      await client.query('rollback').catch(() => {});
      if (!isPassing(error) || attempt === 5) throw error;
    }
    await sleep(50 * 2 ** attempt * (0.5 + Math.random()));
  }
}

/** Throws what a repetition would not cure; else says who was in the way. */
async function giveUpOrWait(client: pg.ClientBase, error: unknown, { tables }: Others) {
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
  return describeHolders(client, tables);
}

export async function commit(client: pg.ClientBase) {
  try {
    const { command } = await client.query('commit');
    if (command !== 'COMMIT') throw new Failure('the server did not commit: nothing was changed');
  } catch (error) {
    if (!isLostConnection(error)) throw error;
    throw new Failure(
      'lost the connection while committing: whether it took effect is unknown; run it again, that is safe',
      codeOf(error),
      { cause: error },
    );
  }
}

/** All of them within one time-out: lock_timeout is for each, statement_timeout for all. */
export async function lockTogether(client: pg.ClientBase, list: string, mode: string, ms: number) {
  await client.query(`set local statement_timeout = '${ms}ms'`);
  try {
    await client.query(`lock table ${list} in ${mode} mode`);
  } catch (error) {
    throw codeOf(error) === '57014' ? Object.assign(error as object, { code: '55P03' }) : error;
  }
  await client.query('set local statement_timeout = 0');
}

async function describeHolders(client: pg.ClientBase, tables: string[] | null): Promise<string> {
  const holders = await readHolders(client, ofTables, [tables]);
  if (holders.length === 0) return 'held by transactions that are over now';
  return `held by ${holders.map(({ words }) => words).join('; ')}`;
}

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
        `--lock-timeout must be from 1 to ${deadlockTimeout - 1}, not ${timeout}: below the server's deadlock_timeout, or callers would fail`,
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
  private async lockViews() {
    const { rows } = await this.client.query(viewsQuery);
    const { list } = rows[0];
    if (!list) return;
    await this.client.query(this.prelude());
    await lockTogether(this.client, list, 'access exclusive', this.timeout);
  }
}

const viewsQuery = `
  select pg_catalog.string_agg(pg_catalog.format('credits.%I', relname), ', ' order by relname) as list
  from pg_catalog.pg_class where relkind = 'v'
    and relnamespace = (select n.oid from pg_catalog.pg_namespace n where n.nspname = 'credits')
    and pg_catalog.pg_get_viewdef(oid) !~* '\\m(from|join) \\(*pg_'`;
