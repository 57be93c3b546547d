import { expect, test } from 'vitest';
import { readTotal, scriptOf, withoutMarks } from '../../tools/bench/instructions/callgrind.ts';
import { cells } from '../../tools/bench/instructions/cells.ts';
import { compareFigures, conclude, readCommitted } from '../../tools/bench/instructions/ratchet.ts';
import { runs } from '../../tools/bench/instructions/runs.ts';

test('the total of a callgrind file is read, and a file without one is no 0', () => {
  expect(readTotal('version: 1\nfn=(1)\n12 34\ntotals: 4711\n')).toBe(4711);
  expect(() => readTotal('version: 1\n')).toThrow(/without its totals/);
});

test('the cost of the marks is taken off each phase, and the warm-up is left out', () => {
  expect(withoutMarks([900, 7, 107, 57])).toEqual([100, 50]);
});

test('a measured script has one statement a line, and ends each phase with a mark', () => {
  const lines = scriptOf(['prepare\n  a'], [['one', 'two'], ['three']])
    .trim()
    .split('\n');
  const mark = 'select pg_sleep(0)';
  expect(lines).toEqual(['prepare a', mark, mark, 'one', 'two', mark, 'three', mark]);
});

test('the bench counts each kind of call in one run', () => {
  const counted = runs.flatMap(({ phases }) => phases.flatMap(({ cell }) => cell ?? []));
  expect(counted.sort()).toEqual([...cells].sort());
});

test('the committed figures have every kind of call', () => {
  expect(Object.keys(readCommitted().instructions).sort()).toEqual([...cells].sort());
});

test('a call that takes more than 3 % above its committed figure fails the ratchet', () => {
  const compare = (deduct: number) => compareFigures({ deduct: 1000 }, { deduct })[0];
  expect(compare(1030)).toMatchObject({ change: 0.03, isTooHigh: false });
  expect(compare(1031)).toMatchObject({ isTooHigh: true });
  expect(compare(500)).toMatchObject({ change: -0.5, isTooHigh: false });
});

test('a call without a committed figure fails the ratchet', () => {
  expect(compareFigures({}, { hold: 7 })).toEqual([
    { cell: 'hold', committed: undefined, found: 7, change: undefined, isTooHigh: true },
  ]);
});

test('the ratchet names the calls that became dearer, and those that became cheaper', () => {
  const compared = compareFigures({ deduct: 100, hold: 100 }, { deduct: 110, hold: 90 });
  const [dearer, cheaper] = conclude(compared);
  expect(dearer).toMatch(/^more than 3 % above the committed figure: deduction\. /);
  expect(cheaper).toMatch(/^cheaper than committed: hold\. /);
  expect(conclude(compareFigures({ hold: 100 }, { hold: 101 }))).toHaveLength(1);
});
