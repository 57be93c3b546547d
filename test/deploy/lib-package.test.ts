import { expect, test } from 'vitest';
import { readPackage } from '../../scripts/package.ts';
import { readGround } from '../../scripts/postgres/roles.ts';
import { statementStarts } from '../../scripts/postgres/script.ts';
import { packageWith } from './fixture.ts';

test('a role prefix reaches the text and the checksum of sql/, not those of the migrations', () => {
  const root = packageWith();
  const [plain, prefixed] = [readPackage(root), readPackage(root, 'staging_')];
  expect(prefixed.files.at(-1)?.text).toContain(
    'to staging_credits_spender, staging_credits_granter',
  );
  expect(prefixed.files.at(-1)?.checksum).not.toBe(plain.files.at(-1)?.checksum);
  expect(prefixed.migrations).toEqual(plain.migrations);
});

test.each(['Staging_', '1a', 'a-b', 'a"b', 'a'.repeat(32)])(
  '%s is refused as a role prefix',
  (prefix) => {
    expect(() => readPackage(packageWith(), prefix)).toThrow('role prefix');
  },
);

test.each([
  [{ 'sql/views/balances.sql': '-- requires: views/nothing.sql\n' }, 'requires views/nothing.sql'],
  [{ 'sql/views/balances.sql': '-- requires: views/account_names.sql\n' }, 'requires in a circle'],
  [{ 'sql/tables/x.sql': 'select 1;' }, 'sql/tables/x.sql is in none of'],
  [{ 'migrations/0002_other.sql': 'select 1;' }, 'have the same number'],
])('%j is refused as a change of the package', (files, message) => {
  expect(() => readPackage(packageWith(files))).toThrow(message);
});

test('a file of sql/ with line ends of another system is the same file, and a README is none', () => {
  const root = packageWith({ 'sql/private/x.sql': 'select 1;\r\n', 'sql/README.md': 'text' });
  const files = readPackage(root).files.filter((file) => /x\.sql|README/.test(file.path));
  expect(files.map((file) => file.text)).toEqual(['select 1;\n']);
});

test('statements are told apart as Postgres does it', () => {
  const statements = [
    'select 1;',
    `select 'a;''b', e'\\';', "c;d", $$ ; $$, $x$ $$ ; $x$;`,
    '-- no; \n/* nor; */ select 2 /* ; */;',
    'create function f() returns int begin atomic select case when true then 1 end; select 2; end;',
    'select 3',
  ];
  const text = statements.join(';\n');
  const starts = statementStarts(text).map((at) => text.slice(at, at + 8));
  expect(starts).toEqual(['select 1', "select '", 'select 2', 'create f', 'select 3']);
});

const answering = (row: object) => ({ query: async () => ({ rows: [row] }) }) as never;

test('deploy refuses a server that is too old, and a replica', async () => {
  await expect(readGround(answering({ version: 140012, recovering: false }))).rejects.toThrow(
    'this server is Postgres 14: pg-credits needs 15 or later',
  );
  await expect(readGround(answering({ version: 150000, recovering: true }))).rejects.toThrow(
    'this server is a read-only replica: connect to the primary',
  );
});
