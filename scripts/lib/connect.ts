import { setTimeout as sleep } from 'node:timers/promises';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import pg from 'pg';
import { codeOf, explain, Failure, isStarting, type Target, UsageError } from './explain.ts';

export { explain, Failure, UsageError } from './explain.ts';

export type Log = (line: string) => void;

export const sharedOptions = {
  'database-url': { type: 'string' },
  json: { type: 'boolean' },
  wait: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

export const sharedHelp = `  --database-url URL    which database (else DATABASE_URL, else PGHOST, PGUSER, PGDATABASE, …)
  --wait SECONDS        wait for a server that is still starting
  --json                print JSON
  -h, --help            show this text`;

type Options = NonNullable<ParseArgsConfig['options']>;

/** parseArgs with the shared options. */
export const parseCommand = <const T extends Options>(
  args: string[],
  options: T,
  allowPositionals = false,
) => parseOptions(args, { ...sharedOptions, ...options }, allowPositionals);

/** parseArgs; whatever it does not understand is a UsageError. */
export function parseOptions<const T extends Options>(
  args: string[],
  options: T,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args, options, allowPositionals });
  } catch (error) {
    // parseArgs explains at length how to pass values that begin with a dash: one sentence is enough.
    throw new UsageError((error as Error).message.split(/[.\n]/, 1)[0] ?? 'wrong arguments');
  }
}

/** A whole number from the command line. */
export function wholeNumber(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,9}$/.test(value)) throw new UsageError(`--${name} wants a whole number: ${value}`);
  return Number(value);
}

/** --database-url, then DATABASE_URL; without either, pg reads the usual PG variables itself. */
export function connectionFrom(values: { 'database-url'?: string | undefined }): pg.ClientConfig {
  const connectionString = values['database-url'] ?? process.env.DATABASE_URL;
  return connectionString ? { connectionString } : {};
}

export interface ConnectOptions {
  wait?: number | undefined;
  log?: Log | undefined;
}

/** A connected client, or a Failure that says in one line why there is none. */
export async function connect(config: pg.ClientConfig, options: ConnectOptions = {}) {
  const started = Date.now();
  const deadline = started + (options.wait ?? 0) * 1000;
  for (let saidAt = started; ; ) {
    const client = newClient(config);
    const target = targetOf(client, config);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      if (!isStarting(error) || Date.now() >= deadline)
        throw new Failure(explain(error, target), codeOf(error), { cause: error });
    }
    if (saidAt === started || Date.now() - saidAt >= 3000) {
      saidAt = Date.now();
      options.log?.(`waiting for the server at ${target.host}:${target.port}`);
    }
    await sleep(Math.max(0, Math.min(250, deadline - Date.now())));
  }
}

function newClient(config: pg.ClientConfig): pg.Client {
  try {
    const client = new pg.Client({
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      ...config,
      application_name: config.application_name ?? 'pg-credits',
    });
    // A connection that dies between two queries must not end the process: the next query reports it.
    client.on('error', () => {});
    return client;
  } catch (error) {
    // pg's own message may quote the URL, and the password with it.
    const file = codeOf(error) === 'ENOENT' ? `: no file ${(error as { path?: string }).path}` : '';
    throw new Failure(
      `the database URL can not be used${file}: postgres://user:password@host/name`,
    );
  }
}

function targetOf(client: pg.Client, config: pg.ClientConfig): Target {
  const { host, port, user, database } = client;
  const fromUrl = config.connectionString !== undefined;
  return { host, port, user: user ?? '', database: database ?? '', fromUrl };
}

/** Connects as the command line says, and lets go of the connection whatever happens. */
export async function withClient<T>(
  values: { 'database-url'?: string | undefined; wait?: string | undefined },
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await connect(connectionFrom(values), {
    wait: wholeNumber('wait', values.wait) ?? 0,
    log: (line) => console.error(line),
  });
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
