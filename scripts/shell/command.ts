import { type Options, parseCommand } from './options.ts';
import { type Answer, Terminal } from './terminal.ts';

/** The values of a command line: for the command's own options, and for those that every command has. */
export type Given<T extends Options> = ReturnType<typeof parseCommand<T>>;

/** A command. Its module in commands/ exports these. */
export interface Command {
  help: string;
  options: Options;
  /** Whether it takes arguments besides its options. */
  allowPositionals?: boolean;
  run(given: Given<Options>, terminal: Terminal): Promise<Answer>;
}

/** Runs it, prints its answer, and returns its exit status. */
export async function runCommand(command: Command, args: string[]): Promise<number> {
  const given = parseCommand(args, command.options, command.allowPositionals);
  const terminal = new Terminal(given.values.json === true);
  return terminal.answer(await command.run(given, terminal));
}

/** Says what went wrong, if anything, and returns the exit status. `help` is the command line that explains the usage. */
export const orFail = (status: Promise<number>, args: string[], help: string): Promise<number> =>
  status.catch((error) => new Terminal(args.includes('--json')).fail(error, help));

/** Runs `main` as the whole of this process. */
export async function runProcess(main: (args: string[]) => Promise<number>): Promise<void> {
  // A reader that closes the pipe early (`| head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.exitCode = await main(process.argv.slice(2));
}
