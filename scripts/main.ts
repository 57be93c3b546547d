import { packageVersion } from './package.ts';
import { type Command, orFail, runCommand } from './shell/command.ts';
import { UsageError } from './shell/explain.ts';
import { Terminal } from './shell/terminal.ts';

// A command is loaded only when it is asked for: `deploy` in a pipeline should not wait for the others.
const commands: Record<string, { does: string; load: () => Promise<Command> }> = {
  deploy: {
    does: "bring a database to this package's state",
    load: () => import('./commands/deploy.ts'),
  },
  verify: {
    does: 'check a database: its schema, its figures, its privileges',
    load: () => import('./commands/verify.ts'),
  },
  status: {
    does: 'show what is deployed, and how the accounts stand',
    load: () => import('./commands/status.ts'),
  },
  invoice: {
    does: "print one account's invoice",
    load: () => import('./commands/invoice.ts'),
  },
  settle: {
    does: 'book what is due, for cron',
    load: () => import('./commands/settle.ts'),
  },
  diagnose: {
    does: "find where an app's own credits disagree, and why",
    load: () => import('./commands/diagnose.ts'),
  },
  adopt: {
    does: "take an app's own credits over into the ledger",
    load: () => import('./commands/adopt.ts'),
  },
  shadow: {
    does: "book each write to the app's own transactions, too",
    load: () => import('./commands/shadow.ts'),
  },
  compare: {
    does: "show the app's own balances beside the ledger's",
    load: () => import('./commands/compare.ts'),
  },
  cutover: {
    does: "put views on the ledger in place of the app's own tables",
    load: () => import('./commands/cutover.ts'),
  },
};

export const commandNames = Object.keys(commands);

const usage = `pg-credits: prepaid credits that always add up, inside your Postgres

${Object.entries(commands)
  .map(([name, { does }]) => `  pg-credits ${name.padEnd(10)} ${does}`)
  .join('\n')}

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
  const known = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const misplaced = rest.find((arg) => Object.hasOwn(commands, arg));
  if (name.startsWith('-') && misplaced !== undefined)
    throw new UsageError(`the command comes first: pg-credits ${misplaced} ${name}`);
  if (!known)
    throw new UsageError(`unknown ${name.startsWith('-') ? 'option' : 'command'} '${name}'`);
  const command = await known.load();
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
