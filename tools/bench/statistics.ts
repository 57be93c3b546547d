/** The median of what was measured, and its range. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

export function spreadOf(values: number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (i: number) => sorted[i] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    min: at(0),
    max: at(sorted.length - 1),
  };
}

/** Compared round by round, because whatever slowed a round down slowed both. */
export const ratioOf = (values: number[], others: number[]): Spread =>
  spreadOf(values.map((value, round) => value / (others[round] ?? Number.NaN)));
