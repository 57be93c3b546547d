import { errorObject, Failure, toldAlready, UsageError } from './explain.ts';
import { toJson } from './format.ts';

export type Log = (line: string) => void;

/** What a command did or found. A command that has written its answer already leaves `report` and `lines` out. */
export interface Answer {
  /** What --json prints. */
  report?: unknown;
  /** What a person reads. */
  lines?: string[];
  /** A script for stdout, unless --json was given; `lines` then go to stderr. */
  script?: string | undefined;
  /** Lines for stderr, plain even with --json. */
  asides?: string[];
  /** The exit status, 0 by default. */
  code?: number;
}

/** Prints for a command: text, or objects with --json. Only shell/ writes to stdout and stderr. */
export class Terminal {
  readonly json: boolean;
  private shownAt = 0;

  constructor(json: boolean) {
    this.json = json;
  }

  /** One step of the work, on stderr. */
  readonly log: Log = (line) =>
    console.error(this.json ? JSON.stringify({ progress: line }) : line);

  readonly warn: Log = (warning) =>
    console.error(this.json ? JSON.stringify({ warning }) : `warning: ${warning}`);

  /** On stderr, plain even with --json. */
  readonly aside: Log = (line) => console.error(line);

  /** On stdout, before the answer. */
  readonly print: Log = (text) => console.log(text);

  /** The stream itself, for an answer that is too long to keep in memory. */
  get stdout(): NodeJS.WritableStream {
    return process.stdout;
  }

  /** Shows how far the work is: one line, rewritten now and then, if stderr is a terminal. */
  readonly progress = (line: () => string): void => {
    if (Date.now() - this.shownAt < 200) return;
    this.shownAt = Date.now();
    this.rewrite(line());
  };

  /** What the work is at, where that changes a few times only: likewise, and each time. */
  readonly step: Log = (line) => this.rewrite(line);

  readonly wipe = (): void => this.rewrite('');

  private rewrite(line: string) {
    if (process.stderr.isTTY && !this.json) process.stderr.write(`\r\u001b[K${line}`);
  }

  /** Prints the answer, and returns the exit status. */
  answer({ report, lines, script, asides = [], code = 0 }: Answer): number {
    this.wipe();
    if (this.json) {
      if (report !== undefined) console.log(toJson(report));
    } else if (script !== undefined) {
      process.stdout.write(script);
      console.error(lines?.join('\n'));
    } else if (lines) console.log(lines.join('\n'));
    for (const line of asides) console.error(line);
    return code;
  }

  /** Says in one line what went wrong, and returns the exit status. `help` is the command line that explains the usage. */
  fail(error: unknown, help: string): number {
    this.wipe();
    const wrongUsage = error instanceof UsageError;
    const hint = wrongUsage ? `; see ${error.code ?? help}` : '';
    const told = errorObject(error);
    const message = `${told.message}${hint}`;
    if (!this.json) console.error(message);
    else if (!toldAlready.has(error as object)) this.tellError({ ...told, message });
    if (process.env.PG_CREDITS_DEBUG === '1')
      console.error(error instanceof Failure ? (error.cause ?? error) : error);
    return wrongUsage ? 2 : 1;
  }

  /** With --json there is an object on stdout whatever happens; stderr gets it too, for the log. */
  tellError(error: { code: string | null; message: string; detail: unknown }) {
    if (!this.json) return console.error(error.message);
    const line = JSON.stringify({ error });
    console.log(line);
    console.error(line);
  }
}
