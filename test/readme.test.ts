import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { useDatabase } from './support/database.ts';

const database = useDatabase();
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

const blocks = [...readme.matchAll(/^```(sql|text)\n(.*?)^```$/gms)].map(([, language, text]) => ({
  language,
  text: text ?? '',
}));

/** A table as the README shows one: cells between bars, the first line names the columns. */
const cells = (table: string) =>
  table
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()));

test('the SQL of the README returns the rows that the README shows', async () => {
  let shown = 0;
  for (const [i, block] of blocks.entries()) {
    if (block.language !== 'sql') continue;
    const rows = await database.query<Record<string, unknown>>(block.text);
    const expected = blocks[i + 1];
    if (expected?.language !== 'text') continue;
    const columns = Object.keys(rows[0] ?? {});
    expect([columns, ...rows.map((row) => Object.values(row).map(String))]).toEqual(
      cells(expected.text),
    );
    shown += 1;
  }
  expect(shown).toBe(13);
});
