import { readFileSync, writeFileSync } from 'node:fs';
import { Failure } from '../../../scripts/shell/explain.ts';
import { toJson } from '../../../scripts/shell/format.ts';
import { type Cell, cells, titles } from './cells.ts';
import type { Figures } from './count.ts';
import type { Machine } from './machine.ts';

/** The committed figures, and what they were counted with. */
export interface Committed extends Machine {
  server: string;
  instructions: Figures;
}

/** How far a call may exceed its committed figure: libraries and processors differ by less. */
const tolerance = 0.03;

const file = new URL('figures.json', import.meta.url);

export const readCommitted = (): Committed => JSON.parse(readFileSync(file, 'utf8'));

/** Keeps the figures of calls that were not counted, if the server is the same. */
export function writeCommitted(found: Committed): void {
  const before = readCommitted();
  const kept = before.server === found.server ? before.instructions : {};
  if (
    before.server !== found.server &&
    cells.some((cell) => found.instructions[cell] === undefined)
  )
    throw new Failure(
      `the committed figures are of ${before.server}: count every call to replace them`,
    );
  const instructions = Object.fromEntries(
    cells.map((cell) => [cell, found.instructions[cell] ?? kept[cell]]),
  );
  writeFileSync(file, `${toJson({ ...found, instructions })}\n`);
}

export interface Comparison {
  cell: Cell;
  committed: number | undefined;
  found: number;
  /** Relative to the committed figure: 0.01 is 1 % more. */
  change: number | undefined;
  isTooHigh: boolean;
}

export function compareFigures(committed: Figures, found: Figures): Comparison[] {
  return cells.flatMap((cell) => {
    const [before, now] = [committed[cell], found[cell]];
    if (now === undefined) return [];
    const change = before === undefined ? undefined : (now - before) / before;
    // A call without a committed figure is a mistake as well: nothing would stop it from growing.
    const isTooHigh = change === undefined || change > tolerance;
    return [{ cell, committed: before, found: now, change, isTooHigh }];
  });
}

/** One line about the calls that became too dear, and one about those that became cheaper. */
export function conclude(comparisons: Comparison[]): string[] {
  const name = ({ cell }: Comparison) => titles[cell];
  const dearer = comparisons.filter(({ isTooHigh }) => isTooHigh).map(name);
  const cheaper = comparisons.filter(({ change = 0 }) => change < -tolerance).map(name);
  return [
    ...(dearer.length > 0
      ? [
          `more than ${100 * tolerance} % above the committed figure: ${dearer.join(', ')}. If the price is meant: npm run bench -- instructions --write, and the commit says why`,
        ]
      : [`no call is more than ${100 * tolerance} % above its committed figure`]),
    ...(cheaper.length > 0
      ? [`cheaper than committed: ${cheaper.join(', ')}. --write makes that the new bound`]
      : []),
  ];
}
