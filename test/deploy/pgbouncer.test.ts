import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { pgbouncer } from '../../tools/ci/pgbouncer.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { type Pooler, startPooler } from '../support/pgbouncer.ts';
import { packageWith } from './fixture.ts';

let db: Database;
let pooler: Pooler;
let url: string;

beforeAll(async () => {
  if (!pgbouncer) return console.log('no pgbouncer here: its tests are left out');
  db = await createDatabase({ empty: true });
  pooler = await startPooler(db.url, 3);
  url = pooler.through(db.url);
});

afterAll(async () => {
  await pooler?.stop();
  await db?.drop();
});

test.runIf(pgbouncer)(
  'three deploys at once through a transaction pooler succeed, and leave no trace in its sessions',
  async () => {
    const root = packageWith();
    const rolePrefix = `${db.rolePrefix}pool_`;
    const run = (changes = {}) =>
      deploy({ connectionString: url }, { root, rolePrefix, wait: 20, ...changes });
    const reports = await Promise.all([run(), run(), run()]);
    expect(reports.filter((report) => !report.upToDate)).toHaveLength(1);
    expect(await run({ reapply: true })).toMatchObject({ upToDate: false });
    expect(await run({ dryRun: true })).toMatchObject({ upToDate: true });
    const broken = packageWith({ 'sql/roles.sql': 'select 1;\nselect * from nowhere;' });
    await expect(run({ root: broken })).rejects.toThrow('sql/roles.sql:2: relation "nowhere"');
    expect(await run()).toMatchObject({ upToDate: true });

    // The pooler's sessions live on, for others: no lock, no role, no setting of ours is left in them.
    const locks = await db.query(
      `select locktype from pg_locks where locktype = 'advisory' and database =
      (select oid from pg_database where datname = current_database())`,
    );
    expect(locks).toEqual([]);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query(
      `select current_user = session_user as self, current_setting('search_path') as path,
      current_setting('lock_timeout') as timeout`,
    );
    await client.end();
    expect(rows).toEqual([{ self: true, path: '"$user", public', timeout: '0' }]);
  },
);
