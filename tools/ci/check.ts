import { constants } from 'node:os';
import { execute } from './execute.ts';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Outcome extends Counts {
  /** What failed, one line each, because only the end of CI's output is kept. */
  failures?: string[];
}

export interface Check {
  name: string;
  /** The check fails after this many minutes, so that it cannot hang CI. */
  minutes: number;
  /** Must end soon after the signal. Throwing is a failure, unless a Skip is thrown. */
  run(signal: AbortSignal): Promise<Outcome>;
}

/** Says why a check can't be made on this machine. */
export class Skip extends Error {}

const none = { passed: 0, failed: 0, skipped: 0 };
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(name, () => {
    process.exitCode = 128 + constants.signals[name];
    interrupted.abort(new Error(`interrupted by ${name}`));
  });
}

/** Runs all checks, whichever fail. The last line has the totals. */
export async function runChecks(checks: Check[]): Promise<void> {
  const total = { ...none };
  const summary: string[] = [];
  for (const check of checks) {
    if (interrupted.signal.aborted) break;
    console.log(`\n== ${check.name}`);
    const started = Date.now();
    const { words, failures = [], ...counts } = await outcomeOf(check);
    for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += counts[key];
    const seconds = `${((Date.now() - started) / 1000).toFixed(1)} s`.padStart(8);
    summary.push(`${seconds}  ${check.name}: ${words}`);
    summary.push(...failures.map((failure) => `${' '.repeat(12)}${failure}`));
    console.log(`${check.name}: ${words} (${seconds.trim()})`);
  }
  console.log(`\n${summary.join('\n')}\n\n${tally(total)}`);
  if (total.failed > 0) process.exitCode ??= 1;
}

async function outcomeOf({ run, minutes }: Check): Promise<Outcome & { words: string }> {
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new Error(`not done after ${minutes} min`)),
    minutes * 60_000,
  );
  try {
    const outcome = await run(AbortSignal.any([late.signal, interrupted.signal]));
    return { ...outcome, words: tally(outcome) };
  } catch (error) {
    const [message = ''] = (error as Error).message.trim().split('\n', 1);
    if (error instanceof Skip) return { ...none, skipped: 1, words: `skipped: ${message}` };
    return { ...none, failed: 1, words: `failed: ${message}` };
  } finally {
    clearTimeout(timer);
  }
}

function tally({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** A check that is one command: it exits 0, or 77 to skip, with the reason in its last line. */
export function command(name: string, line: string, minutes = 3): Check {
  return {
    name,
    minutes,
    async run(signal) {
      const [file = '', ...args] = line.split(' ');
      const { code, lastLine } = await execute(file, args, { signal });
      if (code === 77) throw new Skip(lastLine);
      if (code !== 0) throw new Error(`${line} exited with ${code}`);
      return { ...none, passed: 1 };
    },
  };
}
