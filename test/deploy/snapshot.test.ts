import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readOnly } from '../../scripts/postgres/live.ts';
import { parseSnapshot, readSnapshot, withoutQualifiers } from '../../scripts/snapshot/snapshot.ts';
import { checksums, shortDiff } from '../../tools/generate/generated.ts';
import { useDatabase } from '../support/database.ts';
import { packageWith } from './fixture.ts';

const db = useDatabase();

const snapshot = async () => {
  const client = await db.connect();
  return readOnly(client, (live) => readSnapshot(client, live.rolePrefix));
};

// Also on Postgres 15, and whatever this run's prefix is: the committed file was made on 18, without one.
test('the schema as deployed is the committed snapshot', async () => {
  const committed = readFileSync(new URL('../../sql/schema.snapshot', import.meta.url), 'utf8');
  const live = await snapshot();
  const facts = committed.slice(0, live.length);
  expect(live === facts ? [] : shortDiff(facts, live)).toEqual([]);
});

test('a snapshot of the same database is the same text, one fact a line, no key twice', async () => {
  const text = await snapshot();
  expect(await snapshot()).toBe(text);
  const facts = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  expect(parseSnapshot(text).facts.size).toBe(facts.length);
  expect(text).not.toContain(db.rolePrefix);
});

test('the session’s settings do not show in a snapshot', async () => {
  const text = await snapshot();
  const client = await db.connect();
  await client.query(
    `set search_path = credits, credits_private; set timezone = 'Asia/Tokyo'; set datestyle = 'German'`,
  );
  expect(await readOnly(client, (live) => readSnapshot(client, live.rolePrefix))).toBe(text);
});

test('a view that reads one relation has the same text in a snapshot on every Postgres from 15 on', () => {
  const [old, now] = [
    ` SELECT e.a,\n    count(*) FILTER (WHERE (e.kind = 'FROM e.x'::text)) AS n\n   FROM p.entries e\n  GROUP BY e.a;`,
    ` SELECT a,\n    count(*) FILTER (WHERE (kind = 'FROM e.x'::text)) AS n\n   FROM p.entries e\n  GROUP BY a;`,
  ];
  expect(withoutQualifiers(old)).toBe(withoutQualifiers(now));
  const derived = ' SELECT d.a FROM ( SELECT e.a FROM p.e) d;';
  expect(withoutQualifiers(derived)).toBe('SELECT a FROM (SELECT e.a FROM p.e) d;');
  const joined = 'SELECT e.a, g.a FROM (p.e JOIN p.g ON ((e.a = g.a)));';
  expect(withoutQualifiers(joined)).toBe(joined);
});

test('a snapshot keeps what a view quotes as it stands, so that no other view reads the same', () => {
  const view = (literal: string) => `SELECT a.x FROM p.t a WHERE (a.kind = ${literal}::text);`;
  const texts = ["'open'", "'a.open'", "' open'", "'  open'", "'( open'", "'(open'"].map(view);
  expect(new Set(texts.map(withoutQualifiers)).size).toBe(texts.length);
  expect(withoutQualifiers(view("'a.open'"))).toBe(
    "SELECT x FROM p.t a WHERE (kind = 'a.open'::text);",
  );
});

test('a name with a line break breaks no line of a snapshot', async () => {
  await db.query('create view credits."x\ny: z" as select 1 as one');
  expect(await snapshot()).toContain('view credits."x\\u000ay: z"');
  await db.query('drop view credits."x\ny: z"');
});

test('checksums are written for new migrations, and a changed one is refused', () => {
  const root = packageWith({ 'migrations/0002_notes.sql': '' });
  const first = checksums('', false, root);
  expect(first).toMatch(/^[0-9a-f]{64} {2}0001_accounts\.sql\n$/);
  const more = checksums(first, false, packageWith());
  expect(more.split('\n')).toHaveLength(3);
  expect(more.startsWith(first)).toBe(true);
  const changed = packageWith({ 'migrations/0001_accounts.sql': 'select 1;' });
  expect(() => checksums(more, false, changed)).toThrow(
    'migrations/SHA256SUMS has another checksum for 0001_accounts.sql: ',
  );
  expect(checksums(more, true, changed)).not.toContain(first.trim());
});
