import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { codeOf, explain, Failure, isStarting, UsageError } from '../shell/explain.ts';
import { wholeNumber } from '../shell/options.ts';
import type { Log } from '../shell/terminal.ts';
import { firstWay, waysTo } from './ways.ts';

/** --database-url, else DATABASE_URL; the PG variables fill in what these leave open. */
export function connectionFrom(values: { 'database-url'?: string | undefined }): pg.ClientConfig {
  const given = values['database-url'];
  // Somebody passed "$DATABASE_URL" and the variable is not set: the PG variables may point to another database.
  if (given === '') throw new UsageError('--database-url is empty: is its variable set?');
  const connectionString = given ?? process.env.DATABASE_URL;
  return connectionString ? { connectionString } : {};
}

export interface ConnectOptions {
  wait?: number | undefined;
  log?: Log | undefined;
}

/** Returns a connected client, or throws a Failure that says in one line why there is none. */
export async function connect(config: pg.ClientConfig, options: ConnectOptions = {}) {
  const ways = waysTo(config);
  const started = Date.now();
  const deadline = started + (options.wait ?? 0) * 1000;
  for (let saidAt = started; ; ) {
    const tried = await firstWay(ways);
    if (tried instanceof pg.Client) return tried;
    const { error, target } = tried;
    if (!isStarting(error) || Date.now() >= deadline)
      throw new Failure(explain(error, target), codeOf(error), { cause: error });
    if (saidAt === started || Date.now() - saidAt >= 3000) {
      saidAt = Date.now();
      options.log?.(`waiting for the server at ${target.host}:${target.port}`);
    }
    await sleep(Math.max(0, Math.min(250, deadline - Date.now())));
  }
}

/** Connects as the command line says, and closes the connection whatever happens. */
export async function withClient<T>(
  values: { 'database-url'?: string | undefined; wait?: string | undefined },
  log: Log,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const wait = wholeNumber('wait', values.wait) ?? 0;
  const client = await connect(connectionFrom(values), { wait, log });
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
