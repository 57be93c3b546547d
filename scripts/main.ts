import { packageVersion } from './package.ts';
import { type Command, orFail, runCommand } from './shell/command.ts';
import { UsageError } from './shell/explain.ts';
import { Terminal } from './shell/terminal.ts';

// A command is loaded only when it is asked for: `deploy` in a pipeline should not wait for the others.
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
  pg-credits status     show what is deployed, and how the accounts stand
  pg-credits invoice    print one account's invoice
  pg-credits settle     book what is due, for cron
  pg-credits diagnose   find where an app's own credits disagree, and why
  pg-credits adopt      take an app's own credits over into the ledger
  pg-credits shadow     book each write to the app's own transactions, too
  pg-credits compare    show the app's own balances beside the ledger's
  pg-credits cutover    put views on the ledger in place of the app's own tables

  pg-credits COMMAND --help    the options of a command
  pg-credits --version`;

/** Runs a command, prints its answer or what went wrong, and returns the exit status. */
export const commandLine = (args: string[]): Promise<number> =>
  orFail(main(args), args, 'pg-credits --help');

async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === '--version' || name === '-v') return say(packageVersion());
  if (name === 'help' && rest.length > 0) return main([...rest, '--help']);
  if (name === '--help' || name === '-h' || name === 'help') return say(usage);
  if (name === undefined) throw new UsageError('no command given');
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const misplaced = rest.find((arg) => Object.hasOwn(commands, arg));
  if (name.startsWith('-') && misplaced !== undefined)
    throw new UsageError(`the command comes first: pg-credits ${misplaced} ${name}`);
  if (!load)
    throw new UsageError(`unknown ${name.startsWith('-') ? 'option' : 'command'} '${name}'`);
  const command = await load();
  if (rest.some((arg) => arg === '--help' || arg === '-h')) return say(command.help);
  try {
    return await runCommand(command, rest);
  } catch (error) {
    throw error instanceof UsageError
      ? new UsageError(`${name}: ${error.message}`, `pg-credits ${name} --help`)
      : error;
  }
}

const say = (text: string) => new Terminal(false).answer({ lines: [text] });
