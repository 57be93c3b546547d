import { setTimeout as sleep } from 'node:timers/promises';
import { orDash, plural, printable } from '../../shell/format.ts';
import type { Compared, Sample } from '../compare/compare.ts';

export interface GateReport {
  open: boolean;
  samples: number;
  seconds: number;
  accounts: bigint;
  /** Legacy writes that were mirrored while it watched. */
  mirrored: bigint;
  /** What stands against a cutover, a line for each. */
  objections: string[];
}

export interface GateOptions {
  window: number;
  every: number;
  progress: (line: string) => void;
}

/** Open when nothing speaks against a cutover from the first sample to the last; shut by the first that does. */
export async function watchGate(
  sample: () => Promise<Sample>,
  { window, every, progress }: GateOptions,
): Promise<GateReport> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  let first: bigint | undefined;
  for (let samples = 1; ; samples += 1) {
    // The last one begins when the window is over, however long one takes.
    const last = seconds() >= window;
    const seen = await sample();
    first ??= seen.mirrored;
    const objections = objectionsTo(seen);
    const open = objections.length === 0;
    const mirrored = seen.mirrored - first;
    if (!open || last)
      return { open, samples, seconds: seconds(), accounts: seen.accounts, mirrored, objections };
    progress(`all agree for ${Math.floor(seconds())} of ${window} s, ${writes(mirrored)} mirrored`);
    await sleep(Math.max(0, Math.min(every, window - seconds()) * 1000));
  }
}

const writes = (count: bigint) => plural(count, 'write');

/** Why the app cannot be cut over now. */
export function objectionsTo(sample: Sample): string[] {
  const { shadow, differ, worst, not_adopted, missing, failures } = sample;
  const lines = shadow.on ? [] : [`the shadow is off: ${shadow.why}`];
  lines.push(...worst.map(describeDifference));
  const more = differ - BigInt(worst.length);
  if (more > 0n)
    lines.push(`${plural(more, 'more account')} ${more === 1n ? 'differs' : 'differ'}`);
  if (not_adopted > 0n) {
    const names = missing.map(printable).join(', ');
    const rest = not_adopted > BigInt(missing.length) ? ', …' : '';
    lines.push(
      `${plural(not_adopted, 'account is', 'accounts are')} not adopted (${names}${rest}): run pg-credits adopt again, which takes seconds`,
    );
  }
  for (const { error, count } of failures)
    lines.push(`${writes(count)} could not be mirrored (${error}): run pg-credits shadow retry`);
  return lines;
}

export function describeDifference(account: Compared) {
  const { account_id, trusted, ours, difference } = account;
  return `account ${printable(account_id)}: ${sourceOf(account)} ${orDash(trusted)}, the ledger ${orDash(ours)}: it differs by ${orDash(difference)}`;
}

function sourceOf({ balance, transactions, trust, trusted }: Compared) {
  if (trust === 'balance' && balance !== null) return 'the balance says';
  if (trusted === transactions) return 'the transactions say';
  return 'its balance is gone, the transactions and the difference that was adopted say';
}

export function describeGate(report: GateReport): string[] {
  const { open, objections, accounts, samples, seconds, mirrored } = report;
  if (!open) return [...objections, 'the gate is shut: do not cut over'];
  const proof =
    mirrored === 0n
      ? 'no legacy write was mirrored meanwhile, which proves little: watch while the app is used'
      : `${plural(mirrored, 'legacy write')} ${mirrored === 1n ? 'was' : 'were'} mirrored meanwhile`;
  return [
    `the gate is open: ${plural(accounts, 'account')} agreed in ${plural(BigInt(samples), 'sample')} over ${Math.round(seconds)} s`,
    proof,
  ];
}
