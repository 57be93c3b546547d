import { createHash } from 'node:crypto';
import type pg from 'pg';
import { catalogueQuery } from './catalogue.ts';

/** One thing that is so: `column credits_private.accounts.unit` is `text not null`. */
export interface Fact {
  section: string;
  key: string;
  value: string;
}

interface Row extends Fact {
  rank: number;
  /** Text of which a digest is enough. */
  body: string | null;
}

/** The schemas credits and credits_private as they are, sorted; without what a deploy's user and prefix decide. */
export async function readFacts(client: pg.ClientBase, rolePrefix: string): Promise<Fact[]> {
  const { rows } = await client.query<Row>(catalogueQuery, [rolePrefix]);
  rows.sort((a, b) => order(a.section, b.section) || a.rank - b.rank || order(a.key, b.key));
  return rows.map(({ section, key, value, body }) => {
    const text = body === null ? [] : [`text ${digest(key, body, rolePrefix)}`];
    const parts = [value, ...text].filter((part) => part !== '');
    return { section, key, value: parts.join(', ').replace(/\s+/g, ' ') };
  });
}

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function digest(key: string, body: string, prefix: string): string {
  const named = prefix === '' ? body : withoutPrefix(body, prefix);
  const text = key.startsWith('view ') ? withoutQualifiers(named) : named;
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

const withoutPrefix = (text: string, prefix: string) =>
  text.replace(new RegExp(`\\b${prefix}(?=credits_(?:owner|spender|granter|auditor)\\b)`, 'g'), '');

/**
 * Postgres 15 qualifies the columns of a view that reads one relation, later versions don't. In every other place all
 * versions do, so only that relation's name is taken away.
 */
export function withoutQualifiers(definition: string): string {
  const text = definition.replace(/\s+/g, ' ').replaceAll('( ', '(').trim();
  let outermost = text.replace(/'(?:[^']|'')*'/g, "''");
  for (let before = ''; before !== outermost; ) {
    before = outermost;
    outermost = outermost.replace(/\([^()]*\)/g, '<>');
  }
  const [, relation] = / FROM (.*?)(?: WHERE | GROUP | ORDER |;|$)/.exec(outermost) ?? [];
  const name = /^(?:<>|[\w.]+?)(?:\.| )?(\w+)(?:<>)?$/.exec(relation ?? '')?.[1];
  return name === undefined ? text : text.replace(new RegExp(`(?<![.\\w])${name}\\.`, 'g'), '');
}

/** A picture of the schemas as text, one fact a line: to be committed, and compared. */
export async function readSnapshot(client: pg.ClientBase, rolePrefix: string): Promise<string> {
  const lines = [
    '# The whole schema, as deployed; made by npm run generate, compared by pg-credits verify.',
  ];
  let section = '';
  for (const fact of await readFacts(client, rolePrefix)) {
    if (fact.section !== section) lines.push('');
    section = fact.section;
    lines.push(fact.value === '' ? fact.key : `${fact.key}: ${fact.value}`);
  }
  return `${lines.join('\n')}\n`;
}

/** The facts of such a text: values by key. */
export function parseSnapshot(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.indexOf(': ');
      return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 2)];
    }),
  );
}
