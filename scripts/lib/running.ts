import { UsageError, wholeNumber } from './connect.ts';

// How commands end when they are told to, and say how far they are.

export type Signal = 'SIGINT' | 'SIGTERM';

export const exitStatus = { SIGINT: 130, SIGTERM: 143 };

export function atLeastOne(name: string, value: string | undefined): number | undefined {
  const number = wholeNumber(name, value);
  if (number === 0) throw new UsageError(`--${name} wants at least 1: ${value}`);
  return number;
}

/** From now on the first signal only makes a note of itself; another one, later, ends the process at once. */
export function heedSignals(json: boolean): () => Signal | undefined {
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

/** For one transaction: the server rolls back by itself what was not committed. */
export function onInterrupt(json: boolean) {
  const line =
    'interrupted: unless the commit was already under way, nothing was changed; running it again is safe';
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      console.error(json ? JSON.stringify({ error: line, code: signal }) : line);
      process.exit(exitStatus[signal]);
    });
}

/** On a terminal, a line that is rewritten now and then. */
export function progressLine(json: boolean) {
  const shown = process.stderr.isTTY && !json;
  let at = 0;
  const write = (line: string) => {
    if (shown) process.stderr.write(`\r\u001b[K${line}`);
  };
  const progress = (line: () => string) => {
    if (Date.now() - at < 200) return;
    at = Date.now();
    write(line());
  };
  return { progress, wipe: () => write('') };
}
