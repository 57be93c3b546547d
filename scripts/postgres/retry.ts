import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { codeOf, explain, Failure, isLostConnection } from '../shell/explain.ts';
import { plural } from '../shell/format.ts';
import type { Log } from '../shell/terminal.ts';
import { ofTables, readHolders } from './holders.ts';
import { isPassing } from './script.ts';

/** Who may hold the locks that we wait for: on these tables, or on our own schemas. */
export interface Others {
  who: string;
  tables: string[] | null;
}

const callers: Others = { who: 'callers are', tables: null };

/** Repeats a whole transaction until it gets its locks or patience runs out. */
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

/** Repeats a short transaction, whole, up to four times if a lock or a conflict was in the way. */
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

/** Throws errors that a repetition would not cure; for the others, returns who was in the way. */
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
      'lost the connection while committing: whether it took effect is unknown; running it again is safe',
      codeOf(error),
      { cause: error },
    );
  }
}

async function describeHolders(client: pg.ClientBase, tables: string[] | null): Promise<string> {
  const holders = await readHolders(client, ofTables, [tables]);
  if (holders.length === 0) return 'held by transactions that are over now';
  return `held by ${holders.map(({ words }) => words).join('; ')}`;
}
