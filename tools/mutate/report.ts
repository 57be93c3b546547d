import { formatTable } from '../../scripts/shell/format.ts';
import type { Report } from './run.ts';

const heads = {
  off: 'Behind the guards: is it found?',
  on: 'Before the guards, as the owner: is it refused?',
};

/** A line for each kind of change, the totals, and what is wrong. */
export function describe({ triggers, kinds, totals, faults }: Report): string[] {
  const { tried, refused, found, listed, unfound } = totals;
  const rows = kinds.map((kind) => [
    kind.what,
    ...[kind.tried, kind.refused, kind.found, kind.unfound].map(String),
    kind.unfound > 0 ? (kind.reason ?? 'a hole') : '',
  ]);
  const heading = ['change', 'tried', 'refused', 'found', 'unfound', 'because'];
  const sums = `${tried} changes: ${refused} refused, ${found} found, ${listed} on the list, ${unfound} unfound`;
  return [
    heads[triggers],
    '',
    ...formatTable(heading, rows, ['left', 'right', 'right', 'right', 'right', 'left']),
    '',
    sums,
    ...faults.slice(0, 40),
    ...(faults.length > 40 ? [`… and ${faults.length - 40} more`] : []),
  ];
}
