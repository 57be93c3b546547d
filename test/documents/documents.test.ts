import { existsSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { commandNames } from '../../scripts/main.ts';
import {
  chaptersOf,
  commandsOf,
  documents,
  isRun,
  languagesOf,
  readDocument,
  root,
} from '../support/document.ts';
import { brokenLinks } from '../support/links.ts';

const read = (path: string) => [path, readDocument(path)] as const;
const chapterOf = (path: string, heading: string) =>
  texts
    .get(path)
    ?.split(/^## /m)
    .find((text) => text.startsWith(`${heading}\n`)) ?? '';
const folders = /(?<![\w/.])(?:sql|scripts|tools|test|migrations|docs)\/[\w./-]*\w/g;
const pathsIn = (text: string) => text.match(folders) ?? [];
const texts = new Map(documents().map(read));

test('every document with a command, SQL or JavaScript has a test that runs it', () => {
  const folder = new URL('test/documents/', root);
  const tests = readdirSync(folder).map((name) => readDocument(`test/documents/${name}`));
  const played = tests.flatMap((text) =>
    [...text.matchAll(/testDocument\(\s*'([^']+)'/g)].map(([, path]) => path),
  );
  const runnable = [...texts].filter(([, text]) =>
    [...chaptersOf(text).values()].flat().some(isRun),
  );
  expect(played.sort()).toEqual(runnable.map(([path]) => path).sort());
});

test('every block of a document says its language, and is run or known to be only shown', () => {
  const shown = ['go', 'ini', 'mermaid', 'pgsql', 'python', 'yaml'];
  const known = new Set(['sql', 'sh', 'js', 'text', ...shown]);
  const unknown = [...texts].flatMap(([path, text]) =>
    languagesOf(text)
      .filter((language) => !known.has(language))
      .map((language) => `${path}: ${language || 'no language'}`),
  );
  expect(unknown).toEqual([]);
});

test('every link within the documents leads to a file, and to a heading of it', () => {
  expect(brokenLinks(new Map([...texts, read('sql/README.md')]))).toEqual([]);
});

test('a link to a file or a heading that does not exist is found', () => {
  const planted = new Map([
    ['docs/a.md', '# A\n[b](b.md#two-words) [c](c.md) [b](b.md#three) [here](#a) [x](https://x.y)'],
    ['docs/b.md', '# B\n\n## Two `words`\n\n```sh\n# Three\n[d](d.md)\n```\n'],
  ]);
  expect(brokenLinks(planted)).toEqual(['docs/a.md: c.md', 'docs/a.md: b.md#three']);
});

test('README has at most 200 lines, and leads to every page', () => {
  const readme = texts.get('README.md') ?? '';
  expect(readme.split('\n').length).toBeLessThanOrEqual(201);
  const pages = [...texts.keys()].filter((path) => /^(docs\/|[A-Z]+\.md)/.test(path));
  const missing = pages.filter((path) => path !== 'README.md' && !readme.includes(`(${path})`));
  expect(missing).toEqual([]);
});

test('CONTRIBUTING.md describes every npm script, and documents name no other', () => {
  const scripts = Object.keys(JSON.parse(readDocument('package.json')).scripts);
  const contributing = texts.get('CONTRIBUTING.md') ?? '';
  const undescribed = scripts.filter(
    (name) => !['`', '`npm ', '`npm run '].some((before) => contributing.includes(before + name)),
  );
  expect(undescribed).toEqual([]);
  const named = [...texts.values()].flatMap((text) =>
    [...text.matchAll(/\bnpm run ([a-z-]+)/g)].map(([, name]) => name),
  );
  expect(named.filter((name = '') => !scripts.includes(name))).toEqual([]);
});

test('every file and folder that a document names exists', () => {
  const named = [...texts].flatMap(([document, text]) =>
    document === 'CHANGELOG.md'
      ? []
      : pathsIn(text).map((path) => ({ document, path, exists: existsSync(new URL(path, root)) })),
  );
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter(({ exists }) => !exists)).toEqual([]);
});

test('a path is told by its folder', () => {
  const text = 'see `sql/checks/<promise>.sql`, test/deploy/ and [x](docs/x.md#y), not a/sql/b';
  expect(pathsIn(text)).toEqual(['sql/checks', 'test/deploy', 'docs/x.md']);
});

test('every command of pg-credits is in a document', () => {
  const all = [...texts.values()].join('\n');
  expect(commandNames.filter((name) => !all.includes(`pg-credits ${name}`))).toEqual([]);
});

test('every table is in the map, and in the publication that copies it to another server', () => {
  const folder = new URL('migrations/', root);
  const tables = readdirSync(folder).flatMap((name) =>
    [...readDocument(`migrations/${name}`).matchAll(/^create table credits_private\.(\w+)/gm)].map(
      ([, table = '']) => table,
    ),
  );
  expect(tables.length).toBeGreaterThan(10);
  const map = chapterOf('ARCHITECTURE.md', 'Who may write what');
  expect(tables.filter((table) => !map.includes(`\`${table}\``))).toEqual([]);
  const published = /create publication pg_credits for table([^']*)'/.exec(
    texts.get('docs/operating.md') ?? '',
  )?.[1];
  const copied = [...(published ?? '').matchAll(/credits_private\.(\w+)/g)].map(([, name]) => name);
  expect(copied.sort()).toEqual(tables.sort());
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
