import type { Table } from './tables.ts';
import type { Outcome, Trials } from './trials.ts';

/** The outcome of all changes of one kind. */
export interface Kind extends Record<Outcome, number> {
  what: string;
  tried: number;
  /** Why it may go unfound. */
  reason: string | null;
}

export interface Verdict {
  kinds: Kind[];
  totals: Omit<Kind, 'what' | 'reason'> & { listed: number };
  /** What is wrong, a line each; empty if all is well. */
  faults: string[];
}

/**
 * An unfound change must be of a listed kind, and a listed kind must go unfound now and then: otherwise it has to be
 * taken off the list.
 */
export function judge({ trials, exhausted }: Trials, list: Record<string, string>): Verdict {
  const kinds = new Map<string, Kind>();
  const none = { tried: 0, refused: 0, found: 0, unfound: 0, broke: 0 };
  const totals = { ...none, listed: 0 };
  const faults: string[] = [];
  for (const { what, how, outcome, by } of trials) {
    const kind = kinds.get(what) ?? { what, ...none, reason: list[what] ?? null };
    kinds.set(what, kind);
    for (const count of [kind, totals]) {
      count.tried += 1;
      count[outcome] += 1;
    }
    const isListed = outcome === 'unfound' && what in list;
    if (isListed) totals.listed += 1;
    if (outcome === 'broke') faults.push(`${what}: the search ended with '${by}': ${how}`);
    if (outcome === 'unfound' && !isListed) faults.push(`${what}: unfound: ${how}`);
  }
  totals.unfound -= totals.listed;
  for (const what of Object.keys(list)) {
    const kind = kinds.get(what);
    if (kind && kind.unfound === 0 && exhausted.has(what))
      faults.push(`${what}: is on the list, and never goes unfound`);
  }
  return { kinds: [...kinds.values()], totals, faults };
}

/** Tables without a row to change. For a new table, tools/mutate/ledger.ts has to write some. */
export const unfilled = (tables: Pick<Table, 'name' | 'sorts'>[]) =>
  tables
    .filter(({ sorts }) => sorts.length === 0)
    .map(({ name }) => `${name}: has no row, so nothing of it was tried`);

/** Listed kinds of which there is no change; only if all kinds were tried. */
export const forgotten = (list: Record<string, string>, all: Iterable<string>) => {
  const known = new Set(all);
  return Object.keys(list)
    .filter((what) => !known.has(what))
    .map((what) => `${what}: is on the list, and there is no such change`);
};
