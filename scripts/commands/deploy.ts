import { deploy } from '../deploy/deploy.ts';
import { describe } from '../deploy/text.ts';
import { connectionFrom } from '../postgres/connect.ts';
import type { Given } from '../shell/command.ts';
import { UsageError } from '../shell/explain.ts';
import { snakeKeys } from '../shell/format.ts';
import { sharedHelp, wholeNumber } from '../shell/options.ts';
import { endTransaction } from '../shell/signals.ts';
import type { Answer, Terminal } from '../shell/terminal.ts';
import { allowHelp, roleOptions, rolesFrom } from './shared.ts';

export const help = `pg-credits deploy: bring a database to this package's state, in one transaction

Objects that somebody else made in the schemas are refused before any of them runs. Functions, triggers, views and
privileges that were changed are restored.

  --dry-run             print what would run, and change nothing
  --sql                 with --dry-run: print it as SQL, for psql or for review
  --reapply             apply all of sql/, changed or not
  --role-prefix PREFIX  name the roles PREFIXcredits_owner and so on, for several deployments on one server
${allowHelp}
  --lock-timeout MS     how long each attempt may hold callers up (500)
  --patience SECONDS    how long to keep trying while callers or another deploy hold locks (60)
${sharedHelp}`;

export const options = {
  'dry-run': { type: 'boolean' },
  sql: { type: 'boolean' },
  reapply: { type: 'boolean' },
  ...roleOptions,
  'lock-timeout': { type: 'string' },
  patience: { type: 'string' },
} as const;

export async function run({ values }: Given<typeof options>, terminal: Terminal): Promise<Answer> {
  const lockTimeout = wholeNumber('lock-timeout', values['lock-timeout']);
  const patience = wholeNumber('patience', values.patience);
  const { rolePrefix, allow = [] } = rolesFrom(values);
  if (values.sql && !values['dry-run']) throw new UsageError('--sql goes with --dry-run');
  endTransaction(terminal);
  const report = await deploy(connectionFrom(values), {
    ...(rolePrefix === undefined ? {} : { rolePrefix }),
    allow,
    dryRun: values['dry-run'] ?? false,
    reapply: values.reapply ?? false,
    ...(lockTimeout === undefined ? {} : { lockTimeout }),
    ...(patience === undefined ? {} : { patience: patience * 1000 }),
    wait: wholeNumber('wait', values.wait) ?? 0,
    log: terminal.log,
  });
  const { sql = '', ...shown } = report;
  return {
    report: snakeKeys(values.sql ? report : shown),
    lines: describe(report),
    script: values.sql ? sql : undefined,
  };
}
