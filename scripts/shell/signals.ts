// How a program ends when a signal tells it to.
import type { Terminal } from './terminal.ts';

export const exitStatus = { SIGINT: 130, SIGTERM: 143 };

export type Signal = keyof typeof exitStatus;

const signals = Object.keys(exitStatus) as Signal[];
const handlers = new Map<Signal, () => void>();

/** Replaces what a signal did until now. */
export function onSignals(handle: (signal: Signal) => void) {
  for (const signal of signals) {
    const [before, now] = [handlers.get(signal), () => handle(signal)];
    if (before) process.off(signal, before);
    handlers.set(signal, now);
    process.on(signal, now);
  }
}

function quit(terminal: Terminal, signal: Signal, message: string): never {
  terminal.tellError({ code: signal, message, detail: null });
  process.exit(exitStatus[signal]);
}

/** For work in batches: the first signal is only noted, and a later one ends the process at once. */
export function heedSignals(terminal: Terminal): () => Signal | undefined {
  let first: { signal: Signal; at: number } | undefined;
  onSignals((signal) => {
    // Under npx a Ctrl-C arrives twice: from the terminal, and passed on by npm.
    if (first && Date.now() - first.at > 500)
      quit(
        terminal,
        signal,
        'interrupted: the batch that was running may be undone; running it again is safe',
      );
    if (first) return;
    first = { signal, at: Date.now() };
    terminal.log(`${signal}: stopping after the batch that is running; a second one stops at once`);
  });
  return () => first?.signal;
}

/** For a command that only reads: it ends at once. */
export const endReading = (terminal: Terminal) =>
  onSignals((signal) => quit(terminal, signal, 'interrupted'));

/** For a command that goes on until a signal ends it. */
export const endQuietly = () => onSignals((signal) => process.exit(exitStatus[signal]));

/** For one transaction: the server rolls back what was not committed. */
export function endTransaction(terminal: Terminal) {
  const line =
    'interrupted: unless the commit was already under way, nothing was changed; running it again is safe';
  onSignals((signal) => quit(terminal, signal, line));
}
