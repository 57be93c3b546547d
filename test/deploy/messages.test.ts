import { afterAll, beforeAll, expect, test } from 'vitest';
import { mappingFile } from '../adoption/app.ts';
import { createDatabase, type Database, useDatabase } from '../support/database.ts';
import { within } from './fixture.ts';

// What a newcomer meets first with each command: nothing is deployed, a privilege is missing, the
// app's tables are missing. Each command says in one line what to do, and with --json in one
// object.
const db = useDatabase();
let empty: Database;
let poor: URL;
beforeAll(async () => {
  empty = await createDatabase({ empty: true });
  poor = new URL(db.url);
  poor.username = `${db.rolePrefix}poor`;
  poor.password = 'p';
  await db.query(`create role ${poor.username} login password 'p'`);
});
afterAll(() => empty.drop());

const ofTheApp = [
  'adopt',
  'adopt --plan',
  'shadow install',
  'shadow status',
  'compare',
  'compare --gate',
  'cutover',
];
const ofTheLedger = ['invoice acme', 'settle'];

async function refusedAs(command: string, url: string, message: RegExp) {
  const mapping = ofTheApp.includes(command) ? ['--mapping', mappingFile()] : [];
  const args = [...command.split(' '), ...mapping, '--database-url', url];
  const { code, stdout, stderr } = await within(args);
  expect({ command, code, stdout, stderr }).toEqual({
    command,
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(message),
  });
  const json = await within([...args, '--json']);
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout)).toEqual({
    error: {
      code: expect.toBeOneOf([null, expect.any(String)]),
      message: stderr.trimEnd(),
      detail: null,
    },
  });
}

test('every command of a ledger says when there is none, and what to run', async () => {
  for (const command of [...ofTheApp, ...ofTheLedger, 'verify', 'status'])
    await refusedAs(
      command,
      empty.url,
      /^no pg-credits in (this )?database.*: run pg-credits deploy first\n$/,
    );
});

test('every command says which privilege its user lacks, and who or what gives it', async () => {
  for (const command of ofTheApp)
    await refusedAs(
      command,
      poor.href,
      /^\w+poor may not act as \w+, who has the ledger: an administrator must run: grant .*;\n$/,
    );
  await refusedAs(
    'settle',
    poor.href,
    /^permission denied .*: an administrator must run: grant .*\n$/,
  );
  await refusedAs(
    'invoice acme',
    poor.href,
    /^\w+poor may not read .*: connect as a member of .*\n$/,
  );
});

test('every command that reads the app’s tables says which of the mapping are not there', async () => {
  for (const command of ofTheApp)
    await refusedAs(
      command,
      db.url,
      /^mapping: accounts\.table: there is no app\.users\n(mapping: .*\n)+$/,
    );
});

test('adopt rollback says so where nothing was adopted', async () => {
  const args = ['cutover', '--rollback', '--mapping', mappingFile(), '--database-url', db.url];
  const { code, stderr } = await within(args);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^nothing to roll back: nothing was adopted here, or .*\n$/);
});
