import type pg from 'pg';
import { codeOf, Failure } from '../shell/explain.ts';

/** Locks all of them within one time-out: lock_timeout would apply to each, statement_timeout applies to all. */
export async function lockTogether(client: pg.ClientBase, list: string, mode: string, ms: number) {
  await client.query(`set local statement_timeout = '${ms}ms'`);
  try {
    await client.query(`lock table ${list} in ${mode} mode`);
  } catch (error) {
    throw codeOf(error) === '57014' ? Object.assign(error as object, { code: '55P03' }) : error;
  }
  await client.query('set local statement_timeout = 0');
}

/** Exclusive keeps callers out. A migration alters the table, which readers keep it from as well. */
export type LockMode = 'exclusive' | 'access exclusive';

/**
 * A deploy that changes anything first locks the accounts table, in the strongest mode that it will need: asking for
 * more later would be a deadlock with a caller that read the table and now waits to write. Callers then wait for that table,
 * and hold nothing that the rest of the deploy needs. A caller that does hold something (it read a view earlier in its
 * transaction) waits for us while we wait for it, and would fail once it has waited for deadlock_timeout. So we stop
 * waiting before any caller can have waited that long.
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

  async take(mode: LockMode) {
    if (this.since !== undefined) return;
    this.since = Date.now();
    // Under steady load from transactions that read a view and then deduct, one of them always blocks us. Every
    // second attempt stops new ones at the views, and lets those that have passed them finish.
    if (this.attempt % 2 === 0) await this.lockViews();
    await this.client.query(`${this.prelude()}lock table credits_private.accounts in ${mode} mode`);
  }

  /** Precedes every statement that may wait for a lock. */
  prelude(): string {
    if (this.since === undefined) return '';
    const left = this.since + this.deadlockTimeout - 100 - Date.now();
    return `set local lock_timeout = '${Math.max(1, Math.min(this.timeout, left))}ms'; `;
  }

  // Locking a view locks every relation that it reads, through other views too, so views on the system catalogue are
  // left alone.
  private async lockViews() {
    const { rows } = await this.client.query(viewsQuery);
    const { list } = rows[0];
    if (!list) return;
    await this.client.query(this.prelude());
    await lockTogether(this.client, list, 'access exclusive', this.timeout);
  }
}

const viewsQuery = `
  with recursive reads as (
    select c.oid as top, c.oid as view
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = 'credits'
    where c.relkind = 'v'
    union
    select r.top, v.oid
    from reads as r
    join pg_catalog.pg_rewrite as w on w.ev_class = r.view
    join pg_catalog.pg_depend as d on d.objid = w.oid
      and d.classid = 'pg_catalog.pg_rewrite'::regclass
      and d.refclassid = 'pg_catalog.pg_class'::regclass
    join pg_catalog.pg_class as v on v.oid = d.refobjid and v.relkind = 'v'
  )
  select pg_catalog.string_agg(pg_catalog.format('credits.%I', c.relname), ', ' order by c.relname) as list
  from pg_catalog.pg_class as c
  where c.oid in (select r.top from reads as r) and not exists (
    select from reads as r
    where r.top = c.oid and pg_catalog.pg_get_viewdef(r.view) ~* '\\m(from|join) \\(*pg_')`;
