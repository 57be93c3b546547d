/** What is summed over an account's transactions: the columns of the diagnosis query. */
export const sumNames = [
  'transactions',
  'amount',
  'debits',
  'debited',
  'refunded',
  'unresolved',
  'above_one',
  'duplicates',
  'duplicates_amount',
  'duplicate_debits',
  'duplicate_debited',
  'once',
  'once_amount',
  'refunds_left_out',
  'refunds_left_out_amount',
  'changes',
  'changes_amount',
  'off',
] as const;

export type Sums = Record<(typeof sumNames)[number], bigint>;

export interface Figures {
  account_id: string;
  all: Sums;
  /** By API key; '' is for what names none. */
  keys: Map<string, KeyFigures>;
  balance: bigint | null;
  balance_after: bigint | null;
  first_at: Date | null;
  last_at: Date | null;
}

export interface KeyFigures {
  /** By the set of counters in whose window they are: a digit for each. */
  parts: { windows: string; sums: Sums }[];
  /** Of each counter that has a row for this key. */
  values: Map<number, bigint>;
}

export const noSums = (): Sums =>
  Object.fromEntries(sumNames.map((name) => [name, 0n])) as unknown as Sums;

export function addSums(to: Sums, more: Sums): void {
  for (const name of sumNames) to[name] += more[name];
}

export const newFigures = (account_id: string): Figures => ({
  account_id,
  all: noSums(),
  keys: new Map(),
  balance: null,
  balance_after: null,
  first_at: null,
  last_at: null,
});

/** Adds a row of the diagnosis query. */
export function addRow(figures: Figures, row: Record<string, unknown>): void {
  const key = String(row.key);
  const of: KeyFigures = figures.keys.get(key) ?? { parts: [], values: new Map() };
  figures.keys.set(key, of);
  if (row.counter !== null) {
    of.values.set(Number(row.counter), BigInt(row.value as string));
    return;
  }
  const sums = noSums();
  for (const name of sumNames) sums[name] = BigInt(row[name] as string);
  of.parts.push({ windows: String(row.windows), sums });
  addSums(figures.all, sums);
  for (const name of ['balance', 'balance_after'] as const)
    if (row[name] !== null) figures[name] = BigInt(row[name] as string);
  const { first_at, last_at } = row as { first_at: Date | null; last_at: Date | null };
  if (first_at && (!figures.first_at || first_at < figures.first_at)) figures.first_at = first_at;
  if (last_at && (!figures.last_at || last_at > figures.last_at)) figures.last_at = last_at;
}

/** Of the given key, or of all keys: what is in the window of the counter. */
export function inWindow(counter: number, keys: Iterable<KeyFigures>): Sums {
  const sums = noSums();
  for (const { parts } of keys)
    for (const part of parts) if (part.windows[counter] === '1') addSums(sums, part.sums);
  return sums;
}
