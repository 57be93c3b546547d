import { type Align, formatTable } from '../../scripts/shell/format.ts';
import type { Bytes } from './bytes.ts';
import { atMost, type Goal } from './goals.ts';
import type { Level } from './load.ts';
import { figure, goalTable, range } from './report.ts';
import { ratioOf, spreadOf } from './statistics.ts';

export const calls = ['deduct', 'remaining', 'invoice', 'transactions'];

export interface Grown extends Level {
  /** One client's call, a figure per round. */
  microseconds: Record<string, number[]>;
}

export interface Levels {
  goals: Goal[];
  levels: Grown[];
  bytes: Bytes;
}

const firstOf = (levels: Grown[], { axis }: Grown) => levels.find((level) => level.axis === axis);

const cost = (levels: Grown[], level: Grown, call: string) =>
  ratioOf(level.microseconds[call] ?? [], firstOf(levels, level)?.microseconds[call] ?? []);

/** What should cost no more with the largest ledger, or with the most grants on an account. */
export function goalsOfLevels(levels: Grown[], bytes: Bytes): Goal[] {
  const largest = ['entries', 'grants'].flatMap((axis) =>
    levels
      .filter((level) => level.axis === axis)
      .slice(1)
      .slice(-1),
  );
  const size = { median: bytes.per_deduction, min: bytes.per_deduction, max: bytes.per_deduction };
  return [
    ...largest.flatMap((level) =>
      ['deduct', 'remaining'].map((call) => {
        const name = `cost of ${call}: ${level.title} / ${firstOf(levels, level)?.title}`;
        return atMost(1.2, name, cost(levels, level, call));
      }),
    ),
    atMost(337, 'bytes per deduction, indexes included', size),
  ];
}

export function describeLevels({ goals, levels, bytes }: Levels): string[] {
  const rows = levels.map((level) => [
    level.title,
    ...calls.flatMap((call) => [
      figure(cost(levels, level, call).median),
      range(cost(levels, level, call)),
      figure(spreadOf(level.microseconds[call] ?? []).median),
    ]),
  ]);
  const heading = ['', ...calls.flatMap((call) => [call, 'range', 'us'])];
  const align = calls.flatMap((): Align[] => ['right', 'left', 'right']);
  return [
    ...goalTable(goals),
    '',
    ...formatTable(heading, rows, ['left', ...align]),
    'Cost of a call beside the first of its kind, and its time: one client, commits not flushed.',
    '',
    ...bytesTable(bytes),
  ];
}

function bytesTable({ deductions, per_deduction, lengths, tables }: Bytes): string[] {
  const rows = tables.map(({ table, heap, indexes }) => [
    table,
    heap.toFixed(1),
    indexes.toFixed(1),
    (heap + indexes).toFixed(1),
  ]);
  const sum = ['', '', '', per_deduction.toFixed(1)];
  const words = Object.entries(lengths).map(([name, length]) => `${name} ${length}`);
  return [
    ...formatTable(
      ['bytes per deduction', 'table', 'indexes', 'both'],
      [...rows, sum],
      ['left', 'right', 'right', 'right'],
    ),
    `Over ${deductions.toLocaleString('en')} deductions, with ids of these lengths: ${words.join(', ')}.`,
  ];
}
