import { type ParseArgsConfig, parseArgs } from 'node:util';
import { UsageError } from './explain.ts';

export type Options = NonNullable<ParseArgsConfig['options']>;

const sharedOptions = {
  'database-url': { type: 'string' },
  json: { type: 'boolean' },
  wait: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

export const sharedHelp = `  --database-url URL    postgres://user:password@host:5432/name, or 'host=… dbname=…'; the default is
                        DATABASE_URL; PGHOST, PGUSER, PGPASSWORD, PGSSLMODE and the like fill in the rest, as for psql
  --wait SECONDS        wait for a server that is still starting
  --json                print JSON with keys in snake_case; a failure is {"error": {"code", "message", "detail"}}
  -h, --help            show this text

Encryption works as in libpq: sslmode is disable, allow, prefer (the default), require, verify-ca or verify-full, with
sslrootcert (a file, or system), sslcert, sslkey, sslpassword and sslnegotiation. require checks who the server is only
if there is a root certificate; verify-full always does.`;

/** parseArgs with the options that every command has. */
export const parseCommand = <const T extends Options>(
  args: string[],
  options: T,
  allowPositionals = false,
) => {
  const parsed = parseOptions(args, { ...sharedOptions, ...options }, allowPositionals);
  // Checked before anything is read: a wrong command line is reported first, whatever else is wrong.
  wholeNumber('wait', waitOf(parsed.values));
  return parsed;
};

const waitOf = (values: { wait?: unknown }) =>
  typeof values.wait === 'string' ? values.wait : undefined;

/** parseArgs, but a mistake is a UsageError. */
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

/** Shortens the explanations of parseArgs to one sentence. */
function aboutArguments(message: string): string {
  const [, option] = /^Option '(?:-\w, )?(--[\w-]+).*argument is ambiguous/.exec(message) ?? [];
  if (option) return `${option} has no value: one that begins with a dash is written ${option}=-…`;
  const [, lacking] = /^Option '(?:-\w, )?(--[\w-]+).*argument missing/.exec(message) ?? [];
  if (lacking) return `${lacking} has no value`;
  return message.split(/[.\n]/, 1)[0] ?? 'wrong arguments';
}

/** An option's value as a whole number. */
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
