import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { displayWidth, wrap } from '../../scripts/shell/columns.ts';
import {
  alignRows,
  formatAmount,
  formatTable,
  plural,
  toJson,
} from '../../scripts/shell/format.ts';
import { useDatabase } from '../support/database.ts';
import { script } from '../support/scripts.ts';

const db = useDatabase();

test('amounts are exact, at any scale and sign', () => {
  expect(formatAmount(861n, 2, 'usd')).toBe('8.61 usd');
  expect(formatAmount(-5n, 2)).toBe('-0.05');
  expect(formatAmount(-123456789n, 2, 'usd')).toBe('-1,234,567.89 usd');
  expect(formatAmount(1000n)).toBe('1,000');
  expect(formatAmount(100000n, 5)).toBe('1.00000');
  expect(formatAmount(0, 3)).toBe('0.000');
  expect(formatAmount('-9007199254740993', 15)).toBe('-9.007199254740993');
  expect(formatAmount(12n)).toBe('12');
  expect(toJson({ n: 9007199254740993n, s: '1' })).toBe(
    '{\n  "n": 9007199254740993,\n  "s": "1"\n}',
  );
});

test('columns line up, whatever script an id is in, and an id cannot break the line', () => {
  const rows = [
    ['検索', '1'],
    ['e\u0301te\u0301', '22'],
    ['a\nb\u001b[31m', '333'],
    ['👩‍👩‍👧', '4'],
  ];
  expect(formatTable(['id', 'n'], rows, ['left', 'right'])).toEqual([
    'id                    n',
    '-----------------------',
    '検索                  1',
    'e\u0301te\u0301                  22',
    'a\\u000ab\\u001b[31m  333',
    '👩‍👩‍👧                    4',
  ]);
});

test('counts have their thousands apart', () => {
  expect(plural(1234567n, 'account')).toBe('1,234,567 accounts');
  expect(plural(1n, 'account')).toBe('1 account');
});

const heading = ['account', 'causes', 'drift', 'transactions'];
const row = [
  'acme',
  'debits without an API key, calls that cost more counted as 1',
  '-1,234',
  '99',
];

test('a table as wide as the terminal is broken within its texts, never within a figure', () => {
  const table = formatTable(heading, [row, row], ['left', 'left', 'right', 'right'], 60);
  expect(table).toEqual([
    'account  causes                          drift  transactions',
    '------------------------------------------------------------',
    'acme     debits without an API key,     -1,234            99',
    '         calls that cost more counted',
    '         as 1',
    'acme     debits without an API key,     -1,234            99',
    '         calls that cost more counted',
    '         as 1',
  ]);
});

test('a table that no line has room for has its columns one below the other', () => {
  expect(formatTable(heading, [row, row], ['left', 'left', 'right', 'right'], 30)).toEqual([
    '-----------------------------',
    'account       acme',
    'causes        debits without',
    '              an API key,',
    '              calls that cost',
    '              more counted as',
    '              1',
    'drift         -1,234',
    'transactions  99',
    '-----------------------------',
    'account       acme',
    'causes        debits without',
    '              an API key,',
    '              calls that cost',
    '              more counted as',
    '              1',
    'drift         -1,234',
    'transactions  99',
  ]);
});

test('whatever the width of the terminal is, nothing of a table is left out', () => {
  const letters = (text: string) => [...text.replace(/[\s-]/g, '')].sort().join('');
  const rows = [row, ['検索検索検索検索', `${'key_'.repeat(20)}/a/b`, '1', '2']];
  for (let width = 1; width <= 200; width += 1)
    for (const align of [[], ['left', 'left', 'right', 'right']] as const) {
      const lines = formatTable(heading, rows, [...align], width);
      const shown = [1, rows.length].map((times) =>
        letters([...Array(times).fill(heading), ...rows].flat().join('')),
      );
      expect(shown).toContain(letters(lines.join('')));
      if (width >= 28) expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(width);
    }
});

test('a text is broken after words, and within one that is longer than the line', () => {
  expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
  expect(wrap('/v1/search/execute', 11)).toEqual(['/v1/search/', 'execute']);
  expect(wrap('検索検索検', 4)).toEqual(['検索', '検索', '検']);
  expect(wrap('abcdef', 1)).toEqual([...'abcdef']);
});

test('rows that are no table keep their first column whole', () => {
  expect(alignRows([['schema', 'up to date; run pg-credits deploy']], [], { width: 24 })).toEqual([
    'schema  up to date; run',
    '        pg-credits',
    '        deploy',
  ]);
});

test('on a terminal, a table is as wide as it; in a pipe, as wide as it wants to be', async (context) => {
  if (spawnSync('script', ['--version']).error) return context.skip('there is no script(1) here');
  const long = `/${'execute/'.repeat(20)}`;
  await db.query(
    `select from credits.grant_credits('acme', 2000000, 'grant');
     select from credits.deduct_credits('acme', 1234567, 'call', p_operation => '${long}')`,
  );
  const command = `'${process.execPath}' '${script('cli.js')}' invoice acme --database-url '${db.url}'`;
  const piped = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  expect(piped.stdout).toMatch(new RegExp(`^${long} .* 1,234,567 `, 'm'));
  const onTerminal = ['-qec', `stty columns 70; ${command}`, '/dev/null'];
  const { stdout } = spawnSync('script', onTerminal, { encoding: 'utf8' });
  const lines = stdout.split(/\r?\n/);
  expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(70);
  expect(stdout).toMatch(/^\/execute\/.* 1,234,567 /m);
});
