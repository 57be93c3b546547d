import type pg from 'pg';
import { attempt, preview } from './lib/attempt.ts';
import {
  connect,
  connectionFrom,
  type Log,
  parseCommand,
  sharedHelp,
  wholeNumber,
} from './lib/connect.ts';
import { snakeKeys, toJson } from './lib/format.ts';
import { readPackage } from './lib/package.ts';
import { type DeployReport, describe } from './lib/report.ts';
import { withRetries } from './lib/retry.ts';
import { readGround } from './lib/roles.ts';
import { onInterrupt } from './lib/running.ts';

export type { DeployReport } from './lib/report.ts';

export interface DeployOptions {
  /** The folder with migrations/ and sql/; the package's own by default. */
  root?: string;
  rolePrefix?: string;
  dryRun?: boolean;
  /** Apply all of sql/, changed or not. */
  reapply?: boolean;
  /** Milliseconds for which callers may be held up, per attempt. */
  lockTimeout?: number;
  /** Milliseconds until no further attempt is made. */
  patience?: number;
  /** Seconds to wait for a server that is starting. */
  wait?: number;
  log?: Log;
}

/** Brings a database to this package's state, in one transaction, or changes nothing. */
export async function deploy(
  connection: pg.ClientConfig,
  options: DeployOptions = {},
): Promise<DeployReport> {
  const { rolePrefix: prefix = '', log = () => {}, patience = 60_000 } = options;
  const pkg = readPackage(options.root, prefix);
  const client = await connect(connection, options);
  try {
    const ground = await readGround(client);
    const { reapply = false, dryRun = false, lockTimeout = 500 } = options;
    const job = { client, pkg, ground, prefix, reapply, dryRun, lockTimeout, log };
    if (dryRun) return await preview(job);
    return await withRetries(client, patience, log, (attempts) => attempt(job, attempts));
  } finally {
    await client.end().catch(() => {});
  }
}

export const help = `pg-credits deploy: bring a database to this package's state, in one transaction

  --dry-run             print what would run, and change nothing
  --reapply             apply all of sql/, changed or not
  --role-prefix PREFIX  call the roles PREFIXcredits_owner and so on: one server, several deployments
  --lock-timeout MS     how long callers may be held up, per attempt (500)
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseCommand(args, {
    'dry-run': { type: 'boolean' },
    reapply: { type: 'boolean' },
    'role-prefix': { type: 'string' },
    'lock-timeout': { type: 'string' },
  });
  const lockTimeout = wholeNumber('lock-timeout', values['lock-timeout']);
  onInterrupt(values.json ?? false);
  const report = await deploy(connectionFrom(values), {
    rolePrefix: values['role-prefix'] ?? '',
    dryRun: values['dry-run'] ?? false,
    reapply: values.reapply ?? false,
    ...(lockTimeout === undefined ? {} : { lockTimeout }),
    wait: wholeNumber('wait', values.wait) ?? 0,
    log: (line) => console.error(values.json ? JSON.stringify({ progress: line }) : line),
  });
  console.log(values.json ? toJson(snakeKeys(report)) : describe(report).join('\n'));
  return 0;
}
