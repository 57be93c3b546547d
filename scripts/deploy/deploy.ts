import type pg from 'pg';
import { readPackage } from '../package.ts';
import { connect } from '../postgres/connect.ts';
import { withRetries } from '../postgres/retry.ts';
import { readGround } from '../postgres/roles.ts';
import type { Log } from '../shell/terminal.ts';
import { preview } from './preview.ts';
import type { DeployReport } from './report.ts';
import { attempt } from './run.ts';

export interface DeployOptions {
  /** The folder with migrations/ and sql/; the package's own by default. */
  root?: string;
  rolePrefix?: string;
  /** Names of foreign objects that may stay in the schemas, and of roles that keep their privileges. */
  allow?: string[];
  dryRun?: boolean;
  /** Apply all of sql/, changed or not. */
  reapply?: boolean;
  /** How many milliseconds one attempt may hold callers up. */
  lockTimeout?: number;
  /** How many milliseconds to go on making attempts. */
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
    const { reapply = false, dryRun = false, lockTimeout = 500, allow = [] } = options;
    const prefixGiven = options.rolePrefix !== undefined;
    const job = {
      client,
      pkg,
      ground,
      prefix,
      prefixGiven,
      allow,
      reapply,
      lockTimeout,
      patience,
      log,
    };
    return await withRetries(client, patience, log, (attempts) =>
      dryRun ? preview(job) : attempt(job, attempts),
    );
  } finally {
    await client.end().catch(() => {});
  }
}
