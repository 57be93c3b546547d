import { createServer } from 'node:net';
import { PassThrough } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Moment } from '../../scripts/adoption/app/moment.ts';
import type { AccountDiagnosis } from '../../scripts/adoption/diagnose/diagnosis.ts';
import { JsonReport } from '../../scripts/adoption/diagnose/json.ts';
import { commandNames } from '../../scripts/main.ts';
import { errorObject, toldAlready } from '../../scripts/shell/explain.ts';
import { addAccounts, createApp, drifted, mappingFile } from '../adoption/app.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { cli } from './fixture.ts';

let db: Database;
beforeAll(async () => {
  db = await createDatabase();
  await createApp(db);
  await addAccounts(db, drifted);
});
afterAll(() => db.drop());

/** All keys of what a command prints, at any depth. */
function keysOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(keysOf);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => [key, ...keysOf(each)]);
}

const mapped = (...args: string[]) => [...args, '--mapping', mappingFile()];
// In the order in which an app is taken over: each finds something to say.
const commands = (): string[][] => [
  ['deploy', '--role-prefix', db.rolePrefix],
  ['deploy', '--dry-run', '--reapply', '--role-prefix', db.rolePrefix],
  mapped('diagnose'),
  mapped('shadow', 'install'),
  mapped('shadow', 'status'),
  mapped('shadow', 'retry'),
  mapped('adopt', '--plan'),
  mapped('adopt', '--trust', 'transactions'),
  mapped('compare'),
  mapped('compare', '--gate', '--window', '0'),
  mapped('cutover', '--plan'),
  mapped('cutover'),
  mapped('cutover', '--rollback'),
  ['shadow', 'remove', '--forget'],
  ['status'],
  ['verify'],
  ['invoice', '2'],
  ['settle'],
];

test('--json of every command is JSON, in the case of the SQL API', async () => {
  const tried = new Set(commands().map(([name]) => name));
  expect(commandNames.filter((name) => !tried.has(name))).toEqual([]);
  for (const args of commands()) {
    const outcome = await cli([...args, '--json', '--database-url', db.url]);
    expect([args, outcome.code, outcome.stderr]).toEqual([args, 0, expect.any(String)]);
    const keys = new Set(keysOf(JSON.parse(outcome.stdout)));
    expect(keys.size).toBeGreaterThan(0);
    expect([...keys].filter((key) => !/^[a-z][a-z0-9_]*$/.test(key))).toEqual([]);
  }
});

const withArgument: Record<string, string> = { invoice: 'invoice acme', shadow: 'shadow status' };

test.each(commandNames.map((name) => withArgument[name] ?? name))(
  '%s --json of a server that is not there: an object with code, message and detail',
  async (line) => {
    const args = line.split(' ');
    const port = await freePort();
    const url = `postgres://me:s3cret@127.0.0.1:${port}/app`;
    const needed = /diagnose|adopt|compare|cutover|shadow/.test(args[0] ?? '') ? mapped() : [];
    const outcome = await cli([...args, ...needed, '--json', '--database-url', url]);
    expect(outcome.code).toBe(1);
    const message = expect.stringMatching(
      /^no server answers at 127\.0\.0\.1:\d+: is it running\?/,
    );
    const error = { code: 'ECONNREFUSED', message, detail: null };
    expect(JSON.parse(outcome.stdout)).toEqual({ error });
    expect(JSON.parse(outcome.stderr)).toEqual({ error });
  },
);

test('--json of wrong usage and of what the database refuses says the code, and the detail', async () => {
  const usage = await cli(['settle', '--json', '--batch', 'many']);
  expect(usage.code).toBe(2);
  expect(JSON.parse(usage.stdout)).toEqual({
    error: {
      code: 'usage',
      message: 'settle: --batch must be a whole number, not many; see pg-credits settle --help',
      detail: null,
    },
  });
  const nobody = await cli(['invoice', 'nobody', '--json', '--database-url', db.url]);
  expect(JSON.parse(nobody.stdout)).toMatchObject({ error: { code: 'PT404' } });
});

test.each([
  [10, { error: { code: null, message: 'gone', detail: null } }],
  [20_000, { as_of: '2026-01-01', read_only: true, error: { message: 'gone' } }],
])(
  'a diagnosis that fails after %i accounts has printed an object, or nothing yet',
  async (count, ended) => {
    const out = new PassThrough();
    const text = readAll(out);
    const report = new JsonReport(out);
    const failure = new Error('gone');
    await report.begin({ database: 'shop', as_of: '2026-01-01' } as unknown as Moment);
    for (let i = 0; i < count; i += 1)
      await report.add({ account_id: `${i}` } as unknown as AccountDiagnosis);
    await report.fail(failure);
    out.end();
    const printed = await text;
    expect(toldAlready.has(failure)).toBe(count > 10);
    const whole = printed === '' ? { error: errorObject(failure) } : JSON.parse(printed);
    expect(whole).toMatchObject(ended);
  },
);

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}
