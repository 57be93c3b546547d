import { afterEach, beforeEach, expect, test } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { within } from './fixture.ts';

let db: Database;
beforeEach(async () => {
  db = await createDatabase();
});
afterEach(() => db.drop());

const lock = 'select pg_advisory_lock(7238316498215403)';

test('a deploy that another session keeps out gives up, names it, and has changed nothing', async () => {
  const holder = await db.connect();
  await holder.query(`set application_name = 'somebody'; ${lock}`);
  const { rows } = await holder.query('select pg_backend_pid() as pid, current_user as user');
  const args = ['deploy', '--patience', '1', '--role-prefix', db.rolePrefix];
  const { code, stderr } = await within([...args, '--database-url', db.url]);
  expect(code).toBe(1);
  const [{ pid, user }] = rows;
  const who = `\\(pid ${pid}, user ${user}, somebody, idle.*\\)`;
  const [first, last] = stderr.trimEnd().split('\n');
  expect(first).toMatch(
    new RegExp(`^another deploy is running ${who}: waiting for it, up to 1 s$`),
  );
  expect(last).toMatch(
    new RegExp(
      `^another deploy has held its lock for 1 s ${who}: nothing was changed; try again later.*pg_terminate_backend\\(${pid}\\)$`,
    ),
  );
});

test('a deploy that another session keeps out goes on once that is over', async () => {
  const holder = await db.connect();
  await holder.query(lock);
  let waiting = () => {};
  const seen = new Promise<void>((resolve) => {
    waiting = resolve;
  });
  const options = { rolePrefix: db.rolePrefix, log: () => waiting() };
  const deploying = deploy({ connectionString: db.url }, options);
  await seen;
  await holder.query('select pg_advisory_unlock_all()');
  expect(await deploying).toMatchObject({ upToDate: true });
});

test('the second of two deploys in a row leaves even the schemas’ own rows alone', async () => {
  const written = () => db.query(`select nspname, xmin::text from pg_namespace order by 1`);
  await deploy({ connectionString: db.url }, { rolePrefix: db.rolePrefix });
  const before = await written();
  await deploy({ connectionString: db.url }, { rolePrefix: db.rolePrefix });
  expect(await written()).toEqual(before);
});
