import { formatTable } from '../../scripts/shell/format.ts';
import type { Alternatives } from './alternatives.ts';
import type { Goal } from './goals.ts';
import type { Measured } from './measure.ts';
import { ratioOf, type Spread, spreadOf } from './statistics.ts';

/** Three significant digits: more would be noise. */
export function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(value >= 10 ? 1 : 2);
}

export const range = ({ min, max }: Spread) => `${figure(min)} to ${figure(max)}`;

export function goalTable(goals: Goal[]): string[] {
  const rows = goals.map(({ name, at, goal, measured, reached }) => [
    name,
    figure(measured.median),
    range(measured),
    `at ${at} ${goal}`,
    reached ? 'reached' : 'not reached',
  ]);
  return formatTable(['', 'median', 'range', 'goal', ''], rows, ['left', 'right']);
}

/**
 * Everything per second, how it compares with the first contender of its cell, and how long each client
 * waits for a call.
 */
function cellTable(cells: Measured[]): string[] {
  const rows = cells.flatMap((cell) =>
    Object.entries(cell.perSecond).map(([name, values], i, all) => {
      const ratio = ratioOf(values, all[0]?.[1] ?? []);
      const times = i === 0 ? '1' : figure(ratio.median);
      const spread = spreadOf(values);
      return [
        i === 0 ? cell.title : '',
        name,
        times,
        i === 0 ? '' : range(ratio),
        figure(spread.median),
        range(spread),
        figure((1000 * cell.clients * sizeOf(cell, name)) / spread.median),
      ];
    }),
  );
  const heading = ['', '', 'ratio', 'range', 'deductions/s', 'range', 'ms a call'];
  return formatTable(heading, rows, ['left', 'left', 'right', 'left', 'right', 'left', 'right']);
}

const sizeOf = ({ contenders }: Measured, name: string) =>
  contenders.find((contender) => contender.name === name)?.size ?? 1;

export function describeAlternatives({ goals, cells, round_trip }: Alternatives): string[] {
  const added = round_trip.added_ms.toFixed(2);
  return [
    ...goalTable(goals),
    '',
    ...cellTable(cells),
    '',
    `"1 ms away" is a proxy that really adds ${added} ms to a round trip of ${round_trip.direct_ms.toFixed(2)} ms.`,
    'Every deduction that was counted is in its tables, and credits.discrepancies is empty.',
  ];
}

/** For programs, with each round. */
export function jsonOf({ goals, cells, round_trip }: Alternatives) {
  const conditions = cells.map((cell) => ({
    title: cell.title,
    clients: cell.clients,
    accounts: cell.accounts,
    latency_ms: cell.latencyMs,
    commits_flushed: cell.isFlushed,
    contenders: Object.entries(cell.perSecond).map(([name, rounds], _, all) => ({
      name,
      ms_a_call: (1000 * cell.clients * sizeOf(cell, name)) / spreadOf(rounds).median,
      ratio_to_first: ratioOf(rounds, all[0]?.[1] ?? []),
      deductions_per_second: { ...spreadOf(rounds), rounds },
    })),
  }));
  return { goals, cells: conditions, round_trip };
}
