import { setTimeout as sleep } from 'node:timers/promises';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import pg from 'pg';
import { checkPrefix } from '../package.ts';
import { codeOf, explain, Failure, isStarting, UsageError } from '../shell/explain.ts';
import { firstWay, waysTo } from './ways.ts';

export { explain, Failure, UsageError } from '../shell/explain.ts';

export type Log = (line: string) => void;

export const sharedOptions = {
  'database-url': { type: 'string' },
  json: { type: 'boolean' },
  wait: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

export const sharedHelp = `  --database-url URL    postgres://user:password@host:5432/name, or 'host=… dbname=…'; without it, DATABASE_URL
                        counts; PGHOST, PGUSER, PGPASSWORD, PGSSLMODE and the like fill in what is left open, as for psql
  --wait SECONDS        wait for a server that is still starting
  --json                print JSON with keys in snake_case; a failure is {"error": {"code", "message", "detail"}}
  -h, --help            show this text

The connection is encrypted as libpq does it: sslmode is disable, allow, prefer (the default), require, verify-ca or
verify-full; sslrootcert (a file, or system), sslcert, sslkey, sslpassword and sslnegotiation go with it. require checks
who the server is only if there is a root certificate; verify-full always does.`;

type Options = NonNullable<ParseArgsConfig['options']>;

/** parseArgs with the shared options. */
export const parseCommand = <const T extends Options>(
  args: string[],
  options: T,
  allowPositionals = false,
) => {
  const parsed = parseOptions(args, { ...sharedOptions, ...options }, allowPositionals);
  // Before anything is read: a wrong command line is that, whatever else is missing.
  wholeNumber('wait', waitOf(parsed.values));
  return parsed;
};

const waitOf = (values: { wait?: unknown }) =>
  typeof values.wait === 'string' ? values.wait : undefined;

/** parseArgs; whatever it does not understand is a UsageError. */
export function parseOptions<const T extends Options>(
  args: string[],
  options: T,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args, options, allowPositionals });
  } catch (error) {
    throw new UsageError(aboutArguments((error as Error).message));
  }
}

/** parseArgs explains at length, and a value that begins with a dash as an ambiguity: one sentence is enough. */
function aboutArguments(message: string): string {
  const [, option] = /^Option '(?:-\w, )?(--[\w-]+).*argument is ambiguous/.exec(message) ?? [];
  if (option) return `${option} has no value: one that begins with a dash is written ${option}=-…`;
  const [, lacking] = /^Option '(?:-\w, )?(--[\w-]+).*argument missing/.exec(message) ?? [];
  if (lacking) return `${lacking} has no value`;
  return message.split(/[.\n]/, 1)[0] ?? 'wrong arguments';
}

/** A role prefix from the command line, if there is one. */
export function prefixFrom(value: string | undefined): string | undefined {
  try {
    checkPrefix(value ?? '');
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  return value;
}

/** A whole number from the command line. */
export function wholeNumber(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,9}$/.test(value))
    throw new UsageError(`--${name} must be a whole number, not ${value}`);
  return Number(value);
}

export function atLeastOne(name: string, value: string | undefined): number | undefined {
  const number = wholeNumber(name, value);
  if (number === 0) throw new UsageError(`--${name} must be at least 1, not ${value}`);
  return number;
}

/** --database-url, then DATABASE_URL; the PG variables say what these leave open. */
export function connectionFrom(values: { 'database-url'?: string | undefined }): pg.ClientConfig {
  const given = values['database-url'];
  // "$DATABASE_URL" of a variable that is not set: the PG variables may mean another database.
  if (given === '') throw new UsageError('--database-url is empty: is its variable set?');
  const connectionString = given ?? process.env.DATABASE_URL;
  return connectionString ? { connectionString } : {};
}

export interface ConnectOptions {
  wait?: number | undefined;
  log?: Log | undefined;
}

/** A connected client, or a Failure that says in one line why there is none. */
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
