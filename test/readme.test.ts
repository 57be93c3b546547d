import { readFileSync } from 'node:fs';
import pg from 'pg';
import { expect, test } from 'vitest';
import { useDatabase } from './support/database.ts';

const database = useDatabase();
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

const blocks = [...readme.matchAll(/^```(sql|text|js)\n(.*?)^```$/gms)].map(
  ([, language, text]) => ({
    language,
    text: text ?? '',
  }),
);

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

test('the example in JavaScript gets numbers for figures, and the day of a period as it is', async () => {
  const [{ text } = { text: '' }] = blocks.filter(({ language }) => language === 'js');
  // What the example sets for all of its process, this client alone gets.
  const parsers = new Map<number, (value: string) => unknown>();
  const types = {
    builtins: pg.types.builtins,
    setTypeParser: (oid: number, parse: (value: string) => unknown) => parsers.set(oid, parse),
  };
  const getTypeParser = (oid: number) => parsers.get(oid) ?? pg.types.getTypeParser(oid);
  const client = new pg.Client({ connectionString: database.url, types: { getTypeParser } });
  await client.connect();
  try {
    await client.query(`select credits.grant_credits('js', 1000, 'grant')`);
    const run = `return (async () => { ${text}; return { spent, answers }; })()`;
    const example = new Function('pg', 'client', 'accountId', 'requestId', run);
    expect(await example({ types }, client, 'js', 'request')).toEqual({
      spent: { transaction_id: 2, balance: 975 },
      answers: [{ deduction: 1, balance: 970, error_code: null }],
    });
    const invoice = `select period from credits.invoice where account_id = 'js'`;
    expect((await client.query(invoice)).rows[0].period).toMatch(/^\d{4}-\d{2}-01$/);
  } finally {
    await client.end();
  }
});
