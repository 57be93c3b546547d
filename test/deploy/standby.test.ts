import { afterAll, beforeAll, expect, test } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { type Postgres, startPostgres } from '../../tools/postgres/embedded.ts';
import type { Context } from '../../tools/torture/fault.ts';
import { startStandby } from '../../tools/torture/standby.ts';
import { addAccounts, createApp, drifted, mappingFile } from '../adoption/app.ts';
import { withClient } from '../support/connection.ts';
import type { Database } from '../support/database.ts';
import { cli } from './fixture.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

let standby: Postgres;
beforeAll(async () => {
  const primary = await startPostgres({ durable: true });
  cleanups.push(() => primary.stop());
  await deploy({ connectionString: primary.url });
  await withClient(primary.url, async (client) => {
    const query = async (text: string, params?: unknown[]) =>
      (await client.query(text, params)).rows;
    await query(`select from credits.grant_credits('acme', 100, 'grant')`);
    await createApp({ query } as Database);
    await addAccounts({ query } as Database, drifted);
  });
  const defer = (cleanup: () => Promise<unknown>) => cleanups.push(cleanup);
  const context: Context = { seed: 1, small: true, major: 18, say: () => {}, defer };
  standby = await startStandby(primary, context);
});

const mapped = (...args: string[]) => [...args, '--mapping', mappingFile()];
const on = (args: string[]) => cli([...args, '--database-url', standby.url]);

const replica = 'this server is a read-only replica: connect to the primary';
const mappedToo = (command: string) =>
  /^(adopt|cutover|shadow|diagnose)/.test(command)
    ? mapped(...command.split(' '))
    : command.split(' ');

test.each([
  'deploy',
  'deploy --dry-run',
  'settle',
  'adopt --trust transactions',
  'shadow install',
  'shadow retry',
  'shadow remove',
  'cutover',
  'cutover --rollback',
])('%s on a read-only replica: one line that says to connect to the primary', async (command) => {
  const args = mappedToo(command);
  expect(await on(args)).toEqual({ code: 1, stdout: '', stderr: `${replica}\n` });
  const { code, stdout } = await on([...args, '--json']);
  expect([code, JSON.parse(stdout)]).toMatchObject([1, { error: { message: replica } }]);
});

test.each(['verify', 'status', 'invoice acme', 'diagnose'])(
  '%s works on a read-only replica',
  async (command) => {
    expect(await on(mappedToo(command))).toMatchObject({ code: 0, stderr: '' });
  },
);

test('every view can be read on a read-only replica', () =>
  withClient(standby.url, async (client) => {
    const { rows } = await client.query(
      `select oid::regclass::text as name from pg_class
       where relnamespace = 'credits'::regnamespace and relkind = 'v'`,
    );
    expect(rows.length).toBeGreaterThan(8);
    for (const { name } of rows) await client.query(`select * from ${name}`);
  }));
