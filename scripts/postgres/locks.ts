import type pg from 'pg';
import { codeOf, Failure } from '../shell/explain.ts';

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
