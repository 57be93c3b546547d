import { parseCommand, sharedHelp, UsageError, wholeNumber, withClient } from './lib/connect.ts';
import { plural, toJson } from './lib/format.ts';
import { type SettleReport, type Signal, settle } from './lib/settling.ts';

export function describe({ settled, seconds, stopped_by }: SettleReport): string {
  // Whether an account that is locked is due, only who may read the tables could tell.
  if (settled === 0 && !stopped_by)
    return 'nothing was due, except perhaps accounts that others are using';
  const done = `settled ${accounts(settled)} in ${seconds.toFixed(1)} s`;
  if (stopped_by === null) return done;
  if (stopped_by === 'max_accounts') return `${done}, as many as asked for: more may be due`;
  return `interrupted: ${done}; the next run does the rest`;
}

const accounts = (count: number) => plural(BigInt(count), 'account');

export const help = `pg-credits settle: book what became due: expiries, ended holds, scheduled grants, period ends

For cron or a timer: it leaves accounts that are in use alone, and may run as often, and in as many places at once, as
you like. Figures are right without it; it keeps the books tidy. Needs a member of credits_granter.
Exit status: 0 done, 1 it failed, 2 wrong usage, 130 or 143 interrupted: it ends with the batch that is running.

  --batch N             accounts per transaction (100); each stays locked until all of them are settled
  --max-accounts N      stop after so many
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseCommand(args, {
    batch: { type: 'string' },
    'max-accounts': { type: 'string' },
  });
  const { json = false } = values;
  const batch = atLeastOne('batch', values.batch) ?? 100;
  const maxAccounts = atLeastOne('max-accounts', values['max-accounts']) ?? Infinity;
  const { progress, wipe } = progressLine(json);
  const report = await withClient(values, (client) =>
    settle(client, { batch, maxAccounts, interrupted: heedSignals(json), progress }),
  ).finally(wipe);
  console.log(json ? toJson(report) : describe(report));
  const { stopped_by: by } = report;
  return by === 'SIGINT' || by === 'SIGTERM' ? exitStatus[by] : 0;
}

function atLeastOne(name: string, value: string | undefined): number | undefined {
  const number = wholeNumber(name, value);
  if (number === 0) throw new UsageError(`--${name} wants at least 1: ${value}`);
  return number;
}

const exitStatus = { SIGINT: 130, SIGTERM: 143 };

/** From now on the first signal only makes a note of itself; another one, later, ends the process at once. */
function heedSignals(json: boolean): () => Signal | undefined {
  let first: { signal: Signal; at: number } | undefined;
  const heed = (signal: Signal) => {
    // Under npx a Ctrl-C arrives twice: from the terminal, and passed on by npm.
    if (first && Date.now() - first.at > 500) process.exit(exitStatus[signal]);
    if (first) return;
    first = { signal, at: Date.now() };
    const line = `${signal}: stopping after the batch that is running`;
    console.error(json ? JSON.stringify({ progress: line }) : line);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => heed(signal));
  return () => first?.signal;
}

/** On a terminal, a line that is rewritten now and then. */
function progressLine(json: boolean) {
  const shown = process.stderr.isTTY && !json;
  let at = Date.now();
  const write = (line: string) => {
    if (shown) process.stderr.write(`\r\u001b[K${line}`);
  };
  const progress = (settled: number) => {
    if (Date.now() - at < 200) return;
    at = Date.now();
    write(`settled ${accounts(settled)} so far`);
  };
  return { progress, wipe: () => write('') };
}
