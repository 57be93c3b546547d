import { existsSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { chaptersOf, commandsOf, root } from '../support/document.ts';

test('every document has a test that runs its commands and statements', () => {
  const documents = readdirSync(new URL('docs/', root)).map((name) => name.replace(/\.md$/, ''));
  const untested = ['readme', ...documents].filter(
    (name) => !existsSync(new URL(`test/documents/${name}.test.ts`, root)),
  );
  expect(untested).toEqual([]);
});

test('a document is read as chapters with blocks, and blocks as commands', () => {
  const fence = '```';
  const text = `# One\n${fence}sh\na \\\n  b  # why\nc\n${fence}\n## Two\n${fence}ini\nx\n${fence}\n`;
  const chapters = chaptersOf(`${text}${fence}sql\nselect 1;\n${fence}\n`);
  expect([...chapters]).toEqual([
    ['One', [{ language: 'sh', text: 'a \\\n  b  # why\nc\n' }]],
    ['Two', [{ language: 'sql', text: 'select 1;\n' }]],
  ]);
  expect(commandsOf('a \\\n  b  # why\nc\n')).toEqual(['a \\\n  b', 'c']);
});
