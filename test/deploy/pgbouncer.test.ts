import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, chownSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deploy } from '../../scripts/deploy.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { packageWith } from './fixture.ts';

const binary = [...(process.env.PATH ?? '').split(':'), '/usr/sbin']
  .map((folder) => join(folder, 'pgbouncer'))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

let db: Database;
let url: string;
let bouncer: ChildProcess;
let folder: string;

beforeAll(async () => {
  if (!binary) return console.log('no pgbouncer here: its tests are left out');
  db = await createDatabase({ empty: true });
  const port = await freePort();
  folder = mkdtempSync(join(tmpdir(), 'pg-credits-pgbouncer-'));
  const server = new URL(db.url);
  const to = new pg.Client({ connectionString: db.url });
  writeFileSync(
    join(folder, 'users.txt'),
    `"${to.user}" "${decodeURIComponent(server.password)}"\n`,
  );
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    `[databases]
${db.name} = host=${to.host} port=${to.port} dbname=${db.name} user=${to.user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = 3
`,
  );
  // pgbouncer refuses to run as root.
  const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if (nobody.uid) chownSync(folder, nobody.uid, nobody.gid);
  bouncer = spawn(binary, ['-q', join(folder, 'pgbouncer.ini')], { ...nobody, stdio: 'ignore' });
  url = `postgres://${to.user}@127.0.0.1:${port}/${db.name}`;
});

afterAll(async () => {
  if (!binary) return;
  const ended = new Promise((resolve) => bouncer.once('exit', resolve));
  bouncer.kill('SIGKILL');
  await ended;
  rmSync(folder, { recursive: true });
  await db.drop();
});

test.runIf(binary)(
  'deploys through a transaction pooler, three at once, and leaves no trace',
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

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
