import { deploy } from '../deploy/deploy.ts';
import { describe } from '../deploy/report.ts';
import {
  connectionFrom,
  parseCommand,
  prefixFrom,
  sharedHelp,
  UsageError,
  wholeNumber,
} from '../postgres/connect.ts';
import { snakeKeys, toJson } from '../shell/format.ts';
import { onInterrupt } from '../shell/signals.ts';

export const help = `pg-credits deploy: bring a database to this package's state, in one transaction

  --dry-run             print what would run, and change nothing
  --sql                 with --dry-run: print all of it as SQL, for psql or for whoever has to read it first
  --reapply             apply all of sql/, changed or not
  --role-prefix PREFIX  call the roles PREFIXcredits_owner and so on: one server, several deployments
  --allow NAME          leave what is yours in the schemas: an index, a trigger, a function, … of that name, or the
                        privileges of a role; may be repeated
  --lock-timeout MS     how long callers may be held up, per attempt (500)
  --patience SECONDS    how long to go on trying while callers or another deploy are in the way (60)

What somebody else made in the schemas is refused before any of it runs. What was changed of functions, triggers, views
and privileges is put right.
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseCommand(args, {
    'dry-run': { type: 'boolean' },
    sql: { type: 'boolean' },
    reapply: { type: 'boolean' },
    'role-prefix': { type: 'string' },
    allow: { type: 'string', multiple: true },
    'lock-timeout': { type: 'string' },
    patience: { type: 'string' },
  });
  const lockTimeout = wholeNumber('lock-timeout', values['lock-timeout']);
  const patience = wholeNumber('patience', values.patience);
  const [json, rolePrefix] = [values.json ?? false, prefixFrom(values['role-prefix'])];
  if (values.sql && !values['dry-run']) throw new UsageError('--sql goes with --dry-run');
  onInterrupt(json);
  const report = await deploy(connectionFrom(values), {
    ...(rolePrefix === undefined ? {} : { rolePrefix }),
    allow: values.allow ?? [],
    dryRun: values['dry-run'] ?? false,
    reapply: values.reapply ?? false,
    ...(lockTimeout === undefined ? {} : { lockTimeout }),
    ...(patience === undefined ? {} : { patience: patience * 1000 }),
    wait: wholeNumber('wait', values.wait) ?? 0,
    log: (line) => console.error(json ? JSON.stringify({ progress: line }) : line),
  });
  const { sql = '', ...shown } = report;
  if (json) console.log(toJson(snakeKeys(values.sql ? report : shown)));
  else if (!values.sql) console.log(describe(report).join('\n'));
  else {
    process.stdout.write(sql);
    console.error(describe(report).join('\n'));
  }
  return 0;
}
