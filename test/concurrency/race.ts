import type pg from 'pg';
import { expect } from 'vitest';
import { type Database, type Raised, raised, waitUntilBlocked } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';

// biome-ignore lint/suspicious/noExplicitAny: the shape of a row is the racer's
export type Answer = any;
export type Racer = (client: pg.Client) => Promise<Answer>;

export interface Outcome {
  answers: Answer[];
  errors: Raised[];
}

export const lockRow = 'select 1 from credits_private.accounts where account_id = $1 for update';

/**
 * Each racer on a connection of its own. All of them wait for a lock that a transaction of ours
 * holds: only when every one is seen to wait does that transaction end.
 */
export async function race(
  db: Database,
  racers: Racer[],
  hold: (holder: pg.Client) => Promise<unknown>,
  end: 'commit' | 'rollback' | ((holder: pg.Client) => Promise<unknown>) = 'commit',
): Promise<Outcome> {
  const [holder, ...clients] = await Promise.all([session(db), ...racers.map(() => session(db))]);
  const runs: Promise<Answer>[] = [];
  try {
    const pids = await Promise.all(clients.map(pid));
    await holder.query('begin');
    await hold(holder);
    clients.forEach((client, i) => {
      const run = racers[i]?.(client) ?? Promise.reject(new Error('no racer'));
      run.catch(() => {}); // looked at below
      runs.push(run);
    });
    for (const waiting of pids) await waitUntilBlocked(db, waiting);
    await (typeof end === 'string' ? holder.query(end) : end(holder));
    await Promise.allSettled(runs);
  } finally {
    await Promise.all([holder, ...clients].map((client) => giveBack(db, client)));
  }
  return outcome(runs);
}

// A session serves the next race on its database too: a new one reads the catalogue and plans all
// that it calls anew, which takes longer than most races.
const free = new WeakMap<Database, pg.Client[]>();

async function session(db: Database): Promise<pg.Client> {
  return free.get(db)?.pop() ?? db.connect();
}

async function giveBack(db: Database, client: pg.Client): Promise<void> {
  try {
    await client.query('rollback; reset all; reset role');
    free.set(db, [...(free.get(db) ?? []), client]);
  } catch {
    await client.end();
  }
}

/** The most usual race: the racers wait for the row of one account. */
export const raceFor = (
  db: Database,
  accountId: string,
  racers: Racer[],
  end?: Parameters<typeof race>[3],
): Promise<Outcome> => race(db, racers, (holder) => holder.query(lockRow, [accountId]), end);

/** Ends the holder's transaction once the database's own clock says that the moment has come. */
export const whenItComes = (at: string) => async (holder: pg.Client) => {
  const due = async () =>
    (await holder.query('select clock_timestamp() >= $1 as due', [at])).rows[0].due;
  while (!(await due())) await holder.query('select pg_sleep_until($1)', [at]);
  await holder.query('commit');
};

async function outcome(runs: Promise<Answer>[]): Promise<Outcome> {
  const [answers, errors]: [Answer[], Raised[]] = [[], []];
  for (const run of runs) {
    const failed = await run.then(
      (answer) => {
        answers.push(answer);
        return false;
      },
      () => true,
    );
    if (failed) errors.push(await raised(run));
  }
  return { answers, errors };
}

export interface Retried {
  answer: Answer;
  tries: number;
}

/** What an app does above read committed: the whole transaction again, as long as it gets 40001. */
export const retried =
  (level: string, work: Racer): Racer =>
  async (client): Promise<Retried> => {
    for (let tries = 1; ; tries += 1) {
      try {
        await client.query(`begin isolation level ${level}`);
        await client.query('select count(*) from credits.remaining'); // the snapshot is taken here
        const answer = await work(client);
        await client.query('commit');
        return { answer, tries };
      } catch (error) {
        await client.query('rollback');
        if (!['40001', '40P01'].includes((error as pg.DatabaseError).code ?? '')) throw error;
      }
    }
  };

export const pid = async (client: pg.Client): Promise<number> =>
  (await client.query('select pg_backend_pid() as pid')).rows[0].pid;

export const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

export async function expectNoDiscrepancies(db: Database): Promise<void> {
  expect(await discrepancies(db)).toEqual([]);
}

/** What the ledger of an account holds: kind and amount of each entry. */
export async function ledger(db: Database, accountId: string): Promise<string[]> {
  const rows = await db.query(
    `select kind, amount from credits.entries where account_id = $1 order by entry_id`,
    [accountId],
  );
  return rows.map((row) => `${row.kind} ${row.amount}`);
}
