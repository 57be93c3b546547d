import type { Finding } from '../../scripts/verify/checks.ts';
import { Journal, type Totals } from './journal.ts';

export interface Fault {
  name: string;
  /** A fault of the server, of its callers, or of what is between them. */
  title: string;
  run(context: Context): Promise<Rounds>;
}

export interface Context {
  seed: number;
  /** For tests and CI: a few seconds each. */
  small: boolean;
  major: number;
  say(progress: string): void;
  /** Registers work for the end, whatever ends the fault. The last one registered runs first. */
  defer(cleanup: () => Promise<unknown>): void;
}

export interface Rounds {
  /** Why this machine cannot run it. */
  skipped?: string;
  rounds: number;
  totals: Totals;
  /** Seconds from the start of a server, or the promotion of a standby, to the first answer. */
  recoveries: number[];
  findings: Finding[];
}

/** Why the fault was skipped. */
export const nothing: Rounds = {
  rounds: 0,
  totals: new Journal().figures(),
  recoveries: [],
  findings: [],
};

export interface Report extends Rounds {
  name: string;
  seed: number;
  seconds: number;
}

/** Runs a fault. Nothing of it stays behind, whatever happens and even if `stop` is called meanwhile. */
export function runFault(
  fault: Fault,
  options: Omit<Context, 'defer'>,
): { report: Promise<Report>; stop: () => Promise<void> } {
  const started = Date.now();
  const cleanups: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  };
  const context = {
    ...options,
    defer: (cleanup: () => Promise<unknown>) => cleanups.push(cleanup),
  };
  const report = fault
    .run(context)
    .finally(stop)
    .then((rounds) => ({
      name: fault.name,
      seed: options.seed,
      seconds: (Date.now() - started) / 1000,
      ...rounds,
    }));
  return { report, stop };
}
