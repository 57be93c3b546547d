import type { CounterMapping, Mapping } from '../mapping/mapping.ts';
import { type Figures, inWindow, type Sums } from './figures.ts';

/** The likely reason for (a part of) what a surface is off by. */
export interface Cause {
  surface: string;
  cause: CauseName;
  /** How many transactions; null where the figures don't tell. */
  rows: bigint | null;
  /** What it makes the surface differ by: the effects of its causes sum to a surface's difference. */
  effect: bigint;
  /** Of duplicates: how many of the rows are in the balance once only; null where nothing tells. */
  once?: bigint | null;
}

export type CauseName = keyof typeof causeNames;

export const causeNames = {
  debits_without_api_key: 'debits without an API key',
  unknown_api_key: 'debits with an API key that has no counter',
  counted_as_one: 'calls that cost more counted as 1',
  refunds_left_out: 'refunds left out',
  balance_changed_without_transaction: 'balance changed without a transaction',
  duplicates: 'transactions booked twice',
  possible_duplicates: 'transactions that may be booked twice',
  chain_gaps: 'balance_after wrong in single rows',
  unexplained: 'unexplained',
};

export const counterSurface = (name: string) => `counter ${name}`;

/** Without a reference they are but alike and of one moment, as a batch's are. */
const doubles = ({ transactions }: Mapping): CauseName =>
  transactions.reference ? 'duplicates' : 'possible_duplicates';

export function causesOf(figures: Figures, mapping: Mapping): Cause[] {
  const causes = balanceCauses(figures, mapping);
  mapping.counters.forEach((counter, i) => {
    causes.push(...counterCauses(figures, counter, i, doubles(mapping)));
  });
  if (mapping.transactions.api_key_id) {
    const rows = without(figures)?.parts.reduce((sum, { sums }) => sum + sums.debits, 0n) ?? 0n;
    const surface = 'api_key_calls';
    if (rows > 0n) causes.push({ surface, cause: 'debits_without_api_key', rows, effect: -rows });
  }
  return causes;
}

const without = (figures: Figures) => figures.keys.get('');

function balanceCauses({ all, balance }: Figures, mapping: Mapping): Cause[] {
  const surface = 'balance';
  const causes: Cause[] = [];
  const add = (cause: CauseName, rows: bigint, effect: bigint, more = {}) => {
    if (rows > 0n) causes.push({ surface, cause, rows, effect, ...more });
  };
  if (!mapping.transactions.balance_after) return withoutChain(all, balance, doubles(mapping));
  add('balance_changed_without_transaction', all.changes, all.changes_amount);
  add(doubles(mapping), all.duplicates, -all.once_amount, { once: all.once });
  add('refunds_left_out', all.refunds_left_out, -all.refunds_left_out_amount);
  add('chain_gaps', all.off, 0n);
  return causes;
}

/** Only the whole difference is known: if it is what the duplicates come to, it is theirs. */
function withoutChain(all: Sums, balance: bigint | null, cause: CauseName): Cause[] {
  const surface = 'balance';
  const causes: Cause[] = [];
  const difference = balance === null ? 0n : balance - all.amount;
  const isTheirs = all.duplicates > 0n && difference === -all.duplicates_amount;
  if (all.duplicates > 0n) {
    const once = isTheirs ? all.duplicates : difference === 0n && balance !== null ? 0n : null;
    const effect = isTheirs ? difference : 0n;
    causes.push({ surface, cause, rows: all.duplicates, effect, once });
  }
  if (difference !== 0n && !isTheirs)
    causes.push({
      surface,
      cause: 'balance_changed_without_transaction',
      rows: null,
      effect: difference,
    });
  return causes;
}

/** Of each key for itself, where the counter is one for each key. */
function counterCauses(
  figures: Figures,
  counter: CounterMapping,
  i: number,
  doubled: CauseName,
): Cause[] {
  const surface = counterSurface(counter.name);
  const found = new Map<CauseName, Cause>();
  const add = (cause: CauseName, rows: bigint | null, effect: bigint) => {
    const before = found.get(cause) ?? { surface, cause, rows: 0n, effect: 0n };
    const sum = before.rows === null || rows === null ? null : before.rows + rows;
    found.set(cause, { ...before, rows: sum, effect: before.effect + effect });
  };
  if (!counter.api_key_id) {
    const sums = inWindow(i, figures.keys.values());
    explain(counted(figures, i), sums, counter, doubled, add);
    return [...found.values()];
  }
  for (const [key, of] of figures.keys) {
    const value = of.values.get(i);
    const sums = inWindow(i, [of]);
    if (value !== undefined) explain(value, sums, counter, doubled, add);
    else missing(key, sums, counter, add);
  }
  return [...found.values()];
}

type Add = (cause: CauseName, rows: bigint | null, effect: bigint) => void;

export function counted(figures: Figures, counter: number): bigint {
  let value = 0n;
  for (const { values } of figures.keys.values()) value += values.get(counter) ?? 0n;
  return value;
}

/** What a counter should say of these transactions. */
export const expectedOf = (sums: Sums, { counts }: CounterMapping): bigint =>
  counts === 'calls' ? sums.debits : sums.debited - sums.refunded;

function explain(
  value: bigint,
  sums: Sums,
  counter: CounterMapping,
  doubled: CauseName,
  add: Add,
): void {
  const rest = value - expectedOf(sums, counter);
  const isCalls = counter.counts === 'calls';
  const twice = isCalls ? sums.duplicate_debits : sums.duplicate_debited;
  if (rest === 0n) return;
  if (rest === -twice) add(doubled, sums.duplicate_debits, rest);
  else if (!isCalls && rest < 0n && -rest <= sums.above_one) add('counted_as_one', null, rest);
  else if (!isCalls && rest > 0n && rest <= sums.refunded) add('refunds_left_out', null, rest);
  else add('unexplained', null, rest);
}

/** What the counter can't have seen: it has no row for the key, or there was none to look for. */
function missing(key: string, sums: Sums, counter: CounterMapping, add: Add): void {
  const resolved = sums.debited - sums.refunded + sums.unresolved;
  const effect = counter.counts === 'calls' ? -sums.debits : -resolved;
  if (sums.debits > 0n || effect !== 0n)
    add(key === '' ? 'debits_without_api_key' : 'unknown_api_key', sums.debits, effect);
  if (counter.counts === 'credits' && sums.unresolved !== 0n)
    add('refunds_left_out', null, sums.unresolved);
}
