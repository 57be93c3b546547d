import { createHash } from 'node:crypto';
import type pg from 'pg';
import { printable } from '../shell/format.ts';
import { catalogueQuery } from './catalogue.ts';

/** One fact: `column credits_private.accounts.unit` is `text not null`. */
export interface Fact {
  section: string;
  key: string;
  value: string;
}

interface Row extends Fact {
  rank: number;
  /** Text that the snapshot keeps as a digest. */
  body: string | null;
}

/** The schemas credits and credits_private as they are, sorted, without what depends on the deploying user and prefix. */
export async function readFacts(client: pg.ClientBase, rolePrefix: string): Promise<Fact[]> {
  const { rows } = await client.query<Row>(catalogueQuery, [rolePrefix]);
  rows.sort((a, b) => order(a.section, b.section) || a.rank - b.rank || order(a.key, b.key));
  return rows.map(({ section, key, value, body }) => {
    const text = body === null ? [] : [`text ${digest(key, body, rolePrefix)}`];
    const parts = [value, ...text].filter((part) => part !== '');
    return { section, key: printable(key), value: printable(spaced(parts.join(', '))) };
  });
}

/** Turns any white space into one space, except within quotes, where it is part of the meaning. */
const spaced = (text: string) => unquoted(text, (part) => part.replace(/\s+/g, ' '));

const unquoted = (text: string, change: (part: string) => string) =>
  text.replace(/('(?:[^']|'')*'|"(?:[^"]|"")*")|[^'"]+/g, (part, quoted) => quoted ?? change(part));

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function digest(key: string, body: string, prefix: string): string {
  const named = prefix === '' ? body : withoutPrefix(body, prefix);
  const text = key.startsWith('view ') ? withoutQualifiers(named) : named;
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

const withoutPrefix = (text: string, prefix: string) =>
  text.replace(new RegExp(`\\b${prefix}(?=credits_(?:owner|spender|granter|auditor)\\b)`, 'g'), '');

/**
 * Postgres 15 qualifies the columns of a view that reads a single relation; later versions don't. All versions qualify
 * everywhere else, so only that relation's name is removed.
 */
export function withoutQualifiers(definition: string): string {
  const text = unquoted(definition, (part) =>
    part.replace(/\s+/g, ' ').replaceAll('( ', '('),
  ).trim();
  let outermost = text.replace(/'(?:[^']|'')*'/g, "''");
  for (let before = ''; before !== outermost; ) {
    before = outermost;
    outermost = outermost.replace(/\([^()]*\)/g, '<>');
  }
  const [, relation] = / FROM (.*?)(?: WHERE | GROUP | ORDER |;|$)/.exec(outermost) ?? [];
  const name = /^(?:<>|[\w.]+?)(?:\.| )?(\w+)(?:<>)?$/.exec(relation ?? '')?.[1];
  return name === undefined
    ? text
    : unquoted(text, (part) =>
        part.replace(new RegExp(`(?<![.\\w:])${name}\\.(?!\\w+\\(|$)`, 'g'), ''),
      );
}

/** The schemas as text, one fact per line, to commit and to compare. */
export async function readSnapshot(client: pg.ClientBase, rolePrefix: string): Promise<string> {
  const lines = [
    '# The whole schema, as deployed; made by npm run generate, compared by pg-credits deploy and verify.',
  ];
  let section = '';
  for (const fact of await readFacts(client, rolePrefix)) {
    if (fact.section !== section) lines.push('');
    section = fact.section;
    lines.push(lineOf(fact.key, fact.value));
  }
  return `${lines.join('\n')}\n`;
}

const lineOf = (key: string, value: string) => (value === '' ? key : `${key}: ${value}`);

/** Tables and types before one migration, where the migration changed them. */
interface Before {
  migration: string;
  without: string[];
  with: Map<string, string>;
}

export interface Snapshot {
  facts: Map<string, string>;
  /** The newest migration first. */
  before: Before[];
}

/** Reads such a text: values by key. */
export function parseSnapshot(text: string): Snapshot {
  const facts = new Map<string, string>();
  const before = new Map<string, Before>();
  for (const line of text.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#')) continue;
    const [, migration, word, rest] = /^before (\S+) (without|with) (.*)$/.exec(line) ?? [];
    const [key, value] = splitLine(rest ?? line);
    if (migration === undefined) {
      facts.set(key, value);
      continue;
    }
    const found: Before = before.get(migration) ?? { migration, without: [], with: new Map() };
    before.set(migration, found);
    if (word === 'with') found.with.set(key, value);
    else found.without.push(key);
  }
  return { facts, before: [...before.values()] };
}

function splitLine(line: string): [string, string] {
  const at = line.indexOf(': ');
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 2)];
}

/** The table or view that a fact belongs to. */
export const relationOf = (key: string): string | undefined =>
  /^(?:table|view|column|constraint|index|trigger|rule|policy|statistics|child of|parent of|code of) ([\w$]+\.[\w$]+)/.exec(
    key,
  )?.[1];

/** What migrations create and sql/ never changes: tables with all that belongs to them, and types. */
export function ofMigrations(facts: Map<string, string>): Map<string, string> {
  return new Map(
    [...facts].filter(([key]) => {
      if (/^(view|function|procedure|aggregate|trigger|privilege|owner) /.test(key)) return false;
      return !facts.has(`view ${relationOf(key)}`);
    }),
  );
}

/** Tables and types after only the first `count` of these migrations. */
export function stateAfter(snapshot: Snapshot, migrations: string[], count: number) {
  const state = ofMigrations(snapshot.facts);
  const undone = migrations.slice(count);
  for (const { migration, ...before } of snapshot.before) {
    if (!undone.includes(migration)) continue;
    for (const gone of before.without)
      for (const key of [...state.keys()])
        if (key === gone || gone === `table ${relationOf(key)}`) state.delete(key);
    for (const [key, value] of before.with) state.set(key, value);
  }
  return state;
}

/** The lines from which `stateAfter` restores the state before a migration. */
export function linesBefore(
  migration: string,
  before: Map<string, string>,
  after: Map<string, string>,
): string[] {
  const gone = [...after.keys()].filter((key) => !before.has(key));
  const whole = new Set(gone.filter((key) => key.startsWith('table ')));
  const without = gone.filter((key) => whole.has(key) || !whole.has(`table ${relationOf(key)}`));
  const other = [...before].filter(([key, value]) => after.get(key) !== value);
  return [
    ...without.map((key) => `before ${migration} without ${key}`),
    ...other.map(([key, value]) => `before ${migration} with ${lineOf(key, value)}`),
  ];
}
