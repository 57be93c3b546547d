import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { connect } from '../../scripts/postgres/connect.ts';
import { codeOf, isLostConnection } from '../../scripts/shell/explain.ts';
import type { Answer, Call } from './calls.ts';
import type { Entry, Journal } from './journal.ts';

// All figures are well within 2^53.
const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format) =>
  oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format);

export const applicationName = 'torture';

export const connectTo = (connectionString: string): Promise<pg.Client> =>
  connect({
    connectionString,
    types: { getTypeParser },
    application_name: applicationName,
    query_timeout: 60_000, // a server that hangs is a finding, not a reason to hang too
  });

/** A caller's connection, as in an app: made when needed, and made anew when it breaks. */
export class Session {
  private client: pg.Client | undefined;
  private readonly url: () => string;
  private readonly before: (() => string) | undefined;

  constructor(url: () => string, before?: () => string) {
    this.url = url;
    this.before = before;
  }

  /**
   * Repeats the same call with the same key until there is a definite answer, as the README says. A refusal is definite
   * only when all attempts whose answer was lost are over: an attempt that still waits for the account's lock can take
   * effect after the refusal.
   */
  async carryOut(journal: Journal, entry: Entry): Promise<void> {
    const lost: number[] = [];
    for (let areOver = true; ; ) {
      const client = await this.connection();
      try {
        const answers = await this.run(client, entry.call);
        if (areOver || answers.every(({ error_code }) => !error_code))
          return journal.answer(entry, answers);
        areOver = await sessionsAreOver(client, lost);
      } catch (error) {
        if (isOutcomeUnknown(error)) {
          entry.lost += 1;
          lost.push((client as pg.Client & { processID: number }).processID);
          areOver = false;
          await this.end();
        } else {
          await client.query('rollback').catch(() => this.end());
          const code = codeOf(error) ?? '';
          const isRefusal = /^PT4/.test(code);
          if (isRefusal && areOver) return journal.refuse(entry, code);
          if (isRefusal) areOver = await sessionsAreOver(client, lost).catch(() => false);
          else if (passing.test(code)) entry.failed += 1;
          else throw error;
        }
      }
    }
  }

  async run(client: pg.Client, call: Call): Promise<Answer[]> {
    const { text, values } = call;
    if (this.before) await client.query(this.before());
    if (!call.inTransaction) return (await client.query(text, values)).rows;
    await client.query('begin');
    await client.query('insert into app.requests (key) values ($1) on conflict do nothing', [
      call.parts[0]?.key,
    ]);
    const { rows } = await client.query(text, values);
    await client.query('commit');
    return rows;
  }

  /** Connects, even to a server that is down or starting: that may take up to a minute. */
  async connection(): Promise<pg.Client> {
    const deadline = Date.now() + 60_000;
    while (!this.client) {
      try {
        this.client = await connectTo(this.url());
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(20);
      }
    }
    return this.client;
  }

  async end(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    await client?.end().catch(() => {});
  }
}

/**
 * Waits until these sessions, or all others of a load, have ended. It is not enough that none of them is
 * running: what was sent before the connection broke may still be unread.
 */
export async function sessionsAreOver(client: pg.Client, pids?: number[]): Promise<boolean> {
  const alive = `select from pg_stat_activity where application_name = $1
    and pid <> pg_backend_pid() and ($2::int[] is null or pid = any ($2))`;
  while ((await client.query(alive, [applicationName, pids ?? null])).rowCount !== 0)
    await sleep(5);
  return true;
}

// Serialisation, deadlock, lock_timeout, cancelled or timed out, no room on the disk.
const passing = /^(40001|40P01|55P03|57014|53100)$/;

/** Whether the connection is gone, and any answer with it. */
const isOutcomeUnknown = (error: unknown): boolean =>
  isLostConnection(error) || /FATAL|PANIC/.test((error as pg.DatabaseError).severity ?? '');
