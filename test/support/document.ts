import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import { script } from './scripts.ts';

/** A fenced block that a test runs; or the output that the block before it shows. */
export interface Block {
  language: 'sql' | 'sh' | 'js' | 'text';
  text: string;
}

export type Row = Record<string, unknown>;

/** Where and how the blocks of one chapter are run. */
export interface Stage {
  /** A reason why they cannot be run here, if there is one. */
  needs?: () => string | undefined;
  before?: () => Promise<unknown>;
  /** The variables that its commands read. */
  env?: () => Record<string, string>;
  sql?: (statement: string) => Promise<Row[]>;
  js?: (text: string) => Promise<unknown>;
  /**
   * What is run in place of a command, which its first line names; '' where another check runs it.
   */
  instead?: Record<string, string>;
  /** What happens, or is expected, once a command has been run; its first line names it. */
  after?: Record<string, () => Promise<unknown>>;
  finally?: () => Promise<unknown>;
}

export const root = new URL('../../', import.meta.url);
export const readDocument = (path: string) => readFileSync(new URL(path, root), 'utf8');

/** Blocks of these languages are run, or are the output of what was run. */
const played = /^(sql|sh|js|text)$/;

/** The blocks of a document by heading; those of other languages are only shown. */
export function chaptersOf(text: string): Map<string, Block[]> {
  const chapters = new Map<string, Block[]>();
  let heading = '';
  for (const match of text.matchAll(/^#+ ([^\n]*)$|^```(\w+)\n(.*?)^```$/gms)) {
    const [, title, language = '', body = ''] = match;
    if (title !== undefined) heading = title;
    else if (played.test(language)) {
      const block = { language: language as Block['language'], text: body };
      chapters.set(heading, [...(chapters.get(heading) ?? []), block]);
    }
  }
  return chapters;
}

/**
 * A test for each chapter with something to run, in order. `otherwise` is the stage of those that are
 * not named. A chapter without a stage fails, as does a stage without a chapter.
 */
export function testDocument(path: string, stages: Record<string, Stage>, otherwise?: Stage): void {
  const chapters = [...chaptersOf(readDocument(path))].filter(([, blocks]) => blocks.some(isRun));
  test(`${path}: every chapter with a command, SQL or JavaScript is run`, () => {
    const titles = chapters.map(([title]) => title);
    expect(Object.keys(stages)).toEqual(titles.filter((title) => !otherwise || title in stages));
  });
  // One folder for all of a document: a chapter may need a file that another one made.
  let folder: string | undefined;
  for (const [title, blocks] of chapters)
    test(`${path}: ${title}`, async (context) => {
      const stage = stages[title] ?? otherwise ?? {};
      const reason = stage.needs?.();
      if (reason) return context.skip(reason);
      folder ??= mkdtempSync(join(inject('folder'), 'document '));
      await play(blocks, stage, folder);
    });
}

/** All documents, by their paths from the root; sql/README.md is made from the comments in sql/. */
export function documents(): string[] {
  const markdown = (folder: string) =>
    (existsSync(new URL(folder || '.', root)) ? readdirSync(new URL(folder || '.', root)) : [])
      .filter((name) => name.endsWith('.md'))
      .map((name) => folder + name);
  return ['', 'docs/', 'test/'].flatMap(markdown);
}

/** The language of each block, as it is said. */
export const languagesOf = (text: string) =>
  [...text.matchAll(/^```([^\n]*)\n.*?^```$/gms)].map(([, language = '']) => language);

export const isRun = ({ language }: Block) => language !== 'text';

async function play(blocks: Block[], stage: Stage, folder: string): Promise<void> {
  const used = new Set<string>();
  try {
    await stage.before?.();
    for (const [i, { language, text }] of blocks.entries()) {
      const next = blocks[i + 1];
      const shown = next?.language === 'text' ? next.text : undefined;
      if (language === 'sql') await playSql(text, shown, stage);
      if (language === 'js') await given(stage.js, 'js')(text);
      if (language === 'sh') await playCommands(text, shown, stage, { folder, used });
    }
    // An edit or a hook whose command is no longer there.
    const named = Object.keys({ ...stage.instead, ...stage.after });
    expect(named.filter((command) => !used.has(command))).toEqual([]);
  } finally {
    await stage.finally?.();
  }
}

function given<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`this chapter's stage cannot run ${what}`);
  return value;
}

async function playSql(text: string, shown: string | undefined, stage: Stage): Promise<void> {
  const rows = await given(stage.sql, 'sql')(text);
  if (shown === undefined) return;
  const columns = Object.keys(rows[0] ?? {});
  expect([columns, ...rows.map((row) => Object.values(row).map(String))]).toEqual(cells(shown));
}

/** A table as the documents show one: cells between bars, the first line names the columns. */
const cells = (table: string) =>
  table
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()));

async function playCommands(
  text: string,
  shown: string | undefined,
  stage: Stage,
  { folder, used }: { folder: string; used: Set<string> },
): Promise<void> {
  const env = { ...cleanEnvironment(folder), ...given(stage.env, 'sh')() };
  let said = '';
  for (const command of commandsOf(text)) {
    const [line = ''] = command.split('\n');
    used.add(line);
    const run = stage.instead?.[line] ?? command;
    const outcome = promisify(execFile)('sh', ['-ec', run], { cwd: folder, env });
    said += (await outcome).stdout;
    await stage.after?.[line]?.();
  }
  if (shown !== undefined) expect(said).toMatch(asPattern(shown.trim()));
}

/** A line that is indented goes on with the one before it. */
export const commandsOf = (text: string): string[] =>
  text
    .trim()
    .split(/\n(?! )/)
    .map((command) => command.replace(/ +#.*/, ''));

/** `…` stands for anything on a line. */
const asPattern = (shown: string) =>
  new RegExp(shown.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/…/g, '.*'));

/** No PG variable of ours, and `npx pg-credits` as it was built for this run. */
function cleanEnvironment(folder: string): Record<string, string | undefined> {
  const npx = join(folder, 'npx');
  const called = [process.execPath, script('cli.js')].map((path) => `'${path}'`).join(' ');
  writeFileSync(npx, `#!/bin/sh\n[ "$1" = pg-credits ] && shift && exec ${called} "$@"\n`);
  chmodSync(npx, 0o755);
  const entries = Object.entries(process.env).filter(([name]) => !/^PG|^DATABASE_URL$/.test(name));
  return { ...Object.fromEntries(entries), PATH: `${folder}${delimiter}${process.env.PATH}` };
}
