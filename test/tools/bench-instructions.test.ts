import { expect, test } from 'vitest';
import { readTotal, scriptOf, withoutMarks } from '../../tools/bench/instructions/callgrind.ts';
import { cells } from '../../tools/bench/instructions/cells.ts';
import { runs } from '../../tools/bench/instructions/runs.ts';

test('the total of a callgrind file is read, and a file without one is no 0', () => {
  expect(readTotal('version: 1\nfn=(1)\n12 34\ntotals: 4711\n')).toBe(4711);
  expect(() => readTotal('version: 1\n')).toThrow(/without its totals/);
});

test('what the marks between phases cost is taken off each phase, and the warm-up is left out', () => {
  expect(withoutMarks([900, 7, 107, 57])).toEqual([100, 50]);
});

test('a statement is one line, and each phase ends with a mark', () => {
  const lines = scriptOf(['prepare\n  a'], [['one', 'two'], ['three']])
    .trim()
    .split('\n');
  const mark = 'select pg_sleep(0)';
  expect(lines).toEqual(['prepare a', mark, mark, 'one', 'two', mark, 'three', mark]);
});

test('each kind of call is counted by one run', () => {
  const counted = runs.flatMap(({ phases }) => phases.flatMap(({ cell }) => cell ?? []));
  expect(counted.sort()).toEqual([...cells].sort());
});
