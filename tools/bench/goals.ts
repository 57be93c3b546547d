import type { Measured } from './measure.ts';
import { ratioOf, type Spread } from './statistics.ts';

export interface Goal {
  name: string;
  at: 'least' | 'most';
  goal: number;
  measured: Spread;
  reached: boolean;
}

export const atLeast = (goal: number, name: string, measured: Spread): Goal => ({
  name,
  at: 'least',
  goal,
  measured,
  reached: measured.median >= goal,
});

export const atMost = (goal: number, name: string, measured: Spread): Goal => ({
  name,
  at: 'most',
  goal,
  measured,
  reached: measured.median <= goal,
});

/** The goals that these cells have figures for. */
export function goalsOf(cells: Measured[]): Goal[] {
  const wide = cells.filter((cell) => cell.accounts > 1);
  const near = wide.filter((cell) => cell.latencyMs === 0 && cell.isFlushed);
  const usual = withEight(near);
  const busiest = near.reduce<Measured | undefined>(
    (most, cell) => (cell.clients > (most?.clients ?? 0) ? cell : most),
    undefined,
  );
  const far = wide.find((cell) => cell.latencyMs > 0);
  const batches = cells.find((cell) => cell.perSecond['batch of 100']);
  return [
    ...ratio(usual, 0.8, 'deduct_credits', 'floor in SQL'),
    ...ratio(usual, 0.55, 'deduct_credits', 'floor'),
    ...ratio(usual, 1, 'deduct_credits', 'by hand'),
    ...ratio(far, 2, 'deduct_credits', 'by hand'),
    ...ratio(busiest, 5, 'deduct_credits', 'shared house account'),
    ...ratio(batches, 30, 'batch of 100', 'deduct_credits'),
  ];
}

/** The goals are for eight clients. */
export const withEight = (cells: Measured[]) =>
  cells.find(({ clients }) => clients === 8) ?? cells[0];

function ratio(cell: Measured | undefined, goal: number, of: string, to: string): Goal[] {
  const [these, those] = [cell?.perSecond[of], cell?.perSecond[to]];
  if (!cell || !these || !those) return [];
  return [atLeast(goal, `${of} / ${to}: ${cell.title}`, ratioOf(these, those))];
}
