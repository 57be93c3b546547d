import { randomInt } from 'node:crypto';
import { orFail, runProcess } from '../../scripts/shell/command.ts';
import { UsageError } from '../../scripts/shell/explain.ts';
import { toJson } from '../../scripts/shell/format.ts';
import { parseOptions, wholeNumber } from '../../scripts/shell/options.ts';
import { exitStatus, onSignals } from '../../scripts/shell/signals.ts';
import { forgetSettings } from '../postgres/environment.ts';
import { type Report, runFault } from './fault.ts';
import { faults } from './faults.ts';
import { killDeploys } from './kill-deploys.ts';
import { conclusion, describe } from './report.ts';

const all = [...faults, killDeploys];

const help = `npm run torture: break a Postgres under load in every way that we can, and check that nothing is lost

It starts servers of its own, with fsync and synchronous_commit on, and removes them at the end. Callers grant, deduct,
hold, capture and refund all the while, and repeat with the same key every call that got no answer. After each fault,
the ledger is compared with their answers, and verify must pass.
Exit status: 0 nothing was lost, 1 something was or it failed, 2 wrong usage, 130 or 143 interrupted.

${all.map(({ name, title }) => `  ${name.padEnd(11)}  ${title}`).join('\n')}

  --only NAME,NAME   only these
  --small            a few seconds each, as the tests do it
  --seed N           repeat the same choices; their timing depends on the machine
  --major N          the version of Postgres: 15, 16, 17 or 18 (18)
  --json             print JSON
  -h, --help         show this text`;

async function main(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    only: { type: 'string' },
    small: { type: 'boolean' },
    seed: { type: 'string' },
    major: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const { json = false, small = false } = values;
  const seed = wholeNumber('seed', values.seed) ?? randomInt(1_000_000);
  const major = wholeNumber('major', values.major) ?? 18;
  const say = (line: string) => json || console.log(line);
  const wanted = chosen(values.only);
  const reports: Report[] = [];
  say(`seed ${seed}, Postgres ${major}`);
  for (const fault of wanted) {
    say(`\n${fault.name}: ${fault.title}`);
    const progress = progressLine(json);
    const running = runFault(fault, { seed, small, major, say: progress });
    onInterrupt(running.stop, json);
    const report = await running.report.finally(() => progress(''));
    reports.push(report);
    for (const line of describe(report)) say(line);
  }
  console.log(json ? toJson(reports) : `\n${conclusion(reports, seed)}`);
  return reports.every(({ findings }) => findings.length === 0) ? 0 : 1;
}

function chosen(only: string | undefined) {
  const names = only?.split(',') ?? all.map(({ name }) => name);
  return names.map((name) => {
    const fault = all.find((each) => each.name === name);
    if (fault) return fault;
    throw new UsageError(`no fault '${name}': ${all.map((each) => each.name).join(', ')}`);
  });
}

/** On a terminal, a line that is rewritten. */
function progressLine(json: boolean) {
  const shown = process.stdout.isTTY && !json;
  return (line: string) => {
    if (shown) process.stdout.write(`\r\u001b[K${line}`);
  };
}

let interrupted = false;

/** Stops the servers. Calls under way then fail, which needs no report. */
function onInterrupt(stop: () => Promise<void>, json: boolean): void {
  onSignals((signal) => {
    if (interrupted) return; // under npm a Ctrl-C arrives twice
    interrupted = true;
    const line = 'interrupted: stopping the servers';
    console.error(json ? JSON.stringify({ progress: line }) : `\n${line}`);
    const exit = () => process.exit(exitStatus[signal]);
    stop().then(exit, exit);
  });
}

/** Keeps quiet about calls that fail while the servers are being stopped. */
async function torture(args: string[]): Promise<number> {
  try {
    return await main(args);
  } catch (error) {
    if (!interrupted) throw error;
    return 1;
  }
}

forgetSettings();
await runProcess((args) => orFail(torture(args), args, 'npm run torture -- --help'));
// Callers of a failed fault may go on trying to connect for another minute.
if (!interrupted) process.exit();
