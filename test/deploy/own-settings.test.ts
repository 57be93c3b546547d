import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDatabase, type Database } from '../support/database.ts';
import { within } from './fixture.ts';

let db: Database;
beforeEach(async () => {
  db = await createDatabase({ empty: true });
});
afterEach(() => db.drop());

test('a database’s own settings change nothing about a deploy, nor about what verify says', async () => {
  const { version } = await db.one("select current_setting('server_version_num')::int as version");
  const settings = {
    quote_all_identifiers: 'on',
    datestyle: 'SQL, DMY',
    timezone: 'Asia/Kathmandu',
    intervalstyle: 'sql_standard',
    standard_conforming_strings: 'off',
    transform_null_equals: 'on',
    default_transaction_read_only: 'on',
    default_transaction_isolation: 'serializable',
    bytea_output: 'escape',
    extra_float_digits: '-5',
    row_security: 'off',
    check_function_bodies: 'off',
    ...(version >= 170000 ? { transaction_timeout: '100ms' } : {}),
  };
  for (const [name, value] of Object.entries(settings))
    await db.query(`alter database ${db.name} set ${name} = '${value}'`);
  const database = ['--role-prefix', db.rolePrefix, '--database-url', db.url];
  const deploy = (...args: string[]) => within(['deploy', ...args, ...database]);
  expect((await deploy()).stdout).toMatch(/^deployed pg-credits /m);
  if (version >= 170000) await db.query(`alter database ${db.name} reset transaction_timeout`);
  expect((await deploy()).stdout).toMatch(/^nothing to do/m);
  expect((await deploy('--dry-run')).stdout).toMatch(/^nothing to do/m);
  expect((await within(['verify', ...database])).stdout).toMatch(/^all promises hold/m);
});
