// How commands end when they are told to, and say how far they are.

export type Signal = 'SIGINT' | 'SIGTERM';

export const exitStatus = { SIGINT: 130, SIGTERM: 143 };

const handlers = new Map<Signal, () => void>();

/** In place of whatever was to be done until now. */
function onSignals(handle: (signal: Signal) => void) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const [before, now] = [handlers.get(signal), () => handle(signal)];
    if (before) process.off(signal, before);
    handlers.set(signal, now);
    process.on(signal, now);
  }
}

function quit(json: boolean, signal: Signal, message: string): never {
  if (json) tellInJson({ code: signal, message, detail: null });
  else console.error(message);
  process.exit(exitStatus[signal]);
}

/** An object on stdout whatever happens; and in the log of whoever reads it, where stderr goes. */
export function tellInJson(error: { code: string | null; message: string; detail: unknown }) {
  const line = JSON.stringify({ error });
  console.log(line);
  console.error(line);
}

/** From now on the first signal only makes a note of itself; another one, later, ends the process at once. */
export function heedSignals(json: boolean): () => Signal | undefined {
  let first: { signal: Signal; at: number } | undefined;
  onSignals((signal) => {
    // Under npx a Ctrl-C arrives twice: from the terminal, and passed on by npm.
    if (first && Date.now() - first.at > 500)
      quit(
        json,
        signal,
        'interrupted: the batch that was running may be undone; running it again is safe',
      );
    if (first) return;
    first = { signal, at: Date.now() };
    const line = `${signal}: stopping after the batch that is running; a second one stops at once`;
    console.error(json ? JSON.stringify({ progress: line }) : line);
  });
  return () => first?.signal;
}

/** What only reads, at once. */
export const onInterruptOfReading = (json: boolean) =>
  onSignals((signal) => quit(json, signal, 'interrupted'));

/** What goes on until then. */
export const endOnInterrupt = () => onSignals((signal) => process.exit(exitStatus[signal]));

/** For one transaction: the server rolls back by itself what was not committed. */
export function onInterrupt(json: boolean) {
  const line =
    'interrupted: unless the commit was already under way, nothing was changed; running it again is safe';
  onSignals((signal) => quit(json, signal, line));
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
