import type { Answer, Call, Known, Part } from './calls.ts';

/** One call, until it has its answer. */
export interface Entry {
  call: Call;
  /** Attempts whose answer was lost: they may have taken effect. */
  lost: number;
  /** Attempts that the server ended with an error: nothing of them may be left. */
  failed: number;
  /** One answer per part. */
  answers?: Answer[];
  /** Or the ledger's refusal of the whole. */
  refusal?: string;
}

export interface Acknowledged {
  part: Part;
  answer: Answer;
  entry: Entry;
}

/** The calls and their answers, in our own memory, which no fault of the server reaches. */
export class Journal {
  readonly entries: Entry[] = [];
  acknowledgements = 0;
  private keys = 0;
  private readonly prefix: string;

  constructor(prefix = 'request') {
    this.prefix = prefix;
  }

  newKey = (): string => `${this.prefix} ${++this.keys}`;

  ask(call: Call): Entry {
    const entry: Entry = { call, lost: 0, failed: 0 };
    this.entries.push(entry);
    return entry;
  }

  answer(entry: Entry, answers: Answer[]): void {
    entry.answers = answers;
    this.acknowledgements += 1;
  }

  refuse(entry: Entry, code: string): void {
    entry.refusal = code;
  }

  /** The parts that were answered and not refused. */
  acknowledged(): Acknowledged[] {
    return this.entries.flatMap((entry) => acknowledgedParts(entry));
  }

  figures() {
    const { entries } = this;
    const retried = entries.filter(({ lost }) => lost > 0);
    const committed = retried.filter(({ answers }) => answers?.some(({ replayed }) => replayed));
    return {
      calls: entries.length,
      acknowledged: this.acknowledgements,
      refused: entries.filter(({ refusal }) => refusal !== undefined).length,
      failedAttempts: entries.reduce((sum, { failed }) => sum + failed, 0),
      lostAnswers: entries.reduce((sum, { lost }) => sum + lost, 0),
      retried: retried.length,
      foundCommitted: committed.length,
      foundNotCommitted: retried.length - committed.length,
    };
  }
}

export type Totals = ReturnType<Journal['figures']>;

export function acknowledgedParts(entry: Entry): Acknowledged[] {
  return (entry.answers ?? []).flatMap((answer, i) => {
    const part = entry.call.parts[i];
    return part && !answer.error_code ? [{ part, answer, entry }] : [];
  });
}

/** A deduction of 0 has a key and an answer, and is never refused; no transaction, and no call in usage. */
export const isFree = ({ kind, amount }: Part): boolean => kind === 'deduct' && amount === 0;

/** Notes what a caller can refund, capture or release after an answer. */
export function learn(known: Known, entry: Entry): void {
  for (const { part, answer } of acknowledgedParts(entry)) {
    const { kind, account, amount } = part;
    const transaction = answer.transaction_id ?? 0;
    if (isFree(part)) continue; // no transaction, nothing to refund
    if (kind === 'deduct' || kind === 'capture')
      known.spent.push({ account, transaction, left: amount });
    const held = kind === 'hold' ? amount : (answer.held ?? 0);
    const hold = answer.hold_id ?? 0;
    if (kind !== 'release' && held > 0) known.holds.push({ account, hold, held });
  }
}
