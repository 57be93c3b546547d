import { packageVersion } from './package.ts';
import { errorObject, Failure, toldAlready, UsageError } from './shell/explain.ts';
import { tellInJson } from './shell/signals.ts';

interface Command {
  help: string;
  run(args: string[]): Promise<number>;
}

// Loaded when asked for: `deploy` in a pipeline should not wait for what it does not use.
const commands: Record<string, () => Promise<Command>> = {
  deploy: () => import('./commands/deploy.ts'),
  verify: () => import('./commands/verify.ts'),
  status: () => import('./commands/status.ts'),
  invoice: () => import('./commands/invoice.ts'),
  settle: () => import('./commands/settle.ts'),
  diagnose: () => import('./commands/diagnose.ts'),
  adopt: () => import('./commands/adopt.ts'),
  shadow: () => import('./commands/shadow.ts'),
  compare: () => import('./commands/compare.ts'),
  cutover: () => import('./commands/cutover.ts'),
};

const usage = `pg-credits: prepaid credits that always add up, inside your Postgres

  pg-credits deploy     bring a database to this package's state
  pg-credits verify     check a database: its schema, its figures, its privileges
  pg-credits status     what is deployed, and how the accounts stand
  pg-credits invoice    one account's invoice
  pg-credits settle     book what is due, for cron
  pg-credits diagnose   where an app's own credits disagree, and why
  pg-credits adopt      take an app's own credits over into the ledger
  pg-credits shadow     book each write to the app's own transactions, too
  pg-credits compare    the app's own balances beside the ledger's
  pg-credits cutover    views on the ledger where the app's own tables stood

  pg-credits COMMAND --help    the options of a command
  pg-credits --version`;

/** Runs a command, says what there is to say, and answers with its exit status. */
export const commandLine = (args: string[]): Promise<number> =>
  main(args).catch((error) => report(error, args.includes('--json')));

async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === '--version' || name === '-v') return say(packageVersion());
  if (name === 'help' && rest.length > 0) return main([...rest, '--help']);
  if (name === '--help' || name === '-h' || name === 'help') return say(usage);
  if (name === undefined) throw new UsageError('no command given');
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const command = rest.find((arg) => Object.hasOwn(commands, arg));
  if (name.startsWith('-') && command !== undefined)
    throw new UsageError(`the command comes first: pg-credits ${command} ${name}`);
  if (!load)
    throw new UsageError(`unknown ${name.startsWith('-') ? 'option' : 'command'} '${name}'`);
  const { help, run } = await load();
  if (rest.some((arg) => arg === '--help' || arg === '-h')) return say(help);
  try {
    return await run(rest);
  } catch (error) {
    throw error instanceof UsageError
      ? new UsageError(`${name}: ${error.message}`, `pg-credits ${name} --help`)
      : error;
  }
}

function say(text: string): number {
  console.log(text);
  return 0;
}

function report(error: unknown, json: boolean): number {
  const wrongUsage = error instanceof UsageError;
  const hint = wrongUsage ? `; see ${error.code ?? 'pg-credits --help'}` : '';
  const told = errorObject(error);
  if (!json) console.error(`${told.message}${hint}`);
  else if (!toldAlready.has(error as object))
    tellInJson({ ...told, message: `${told.message}${hint}` });
  if (process.env.PG_CREDITS_DEBUG === '1')
    console.error(error instanceof Failure ? (error.cause ?? error) : error);
  return wrongUsage ? 2 : 1;
}
