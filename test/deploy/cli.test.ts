import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandNames } from '../../scripts/main.ts';
import { explain } from '../../scripts/shell/explain.ts';
import { databaseUrl } from '../support/connection.ts';
import { createDatabase, type Database, waitUntilBlocked } from '../support/database.ts';
import { cli } from './fixture.ts';

let db: Database;
beforeAll(async () => {
  db = await createDatabase({ empty: true });
});
afterAll(() => db.drop());

const options = () => ['--database-url', db.url, '--role-prefix', `${db.rolePrefix}cli_`];
const withUser = (user: string, password: string) => {
  const url = new URL(db.url);
  url.username = user;
  url.password = password;
  return url.href;
};

test('deploy says what it did, and on a second run that there is nothing to do', async () => {
  const first = await cli(['deploy', ...options()]);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toMatch(/^created roles: .*\napplied migrations\/0001_/);
  expect(first.stdout).toMatch(/\ndeployed pg-credits .* to database .* as .*credits_owner\n$/);
  const second = await cli(['deploy', ...options()]);
  expect(second.code).toBe(0);
  expect(second.stdout).toMatch(/^nothing to do: pg-credits \S+ is up to date in database \S+\n$/);
  const json = await cli(['deploy', '--json', ...options()]);
  expect(JSON.parse(json.stdout)).toMatchObject({ up_to_date: true, migrations: [], files: [] });
});

test('the connection may come from DATABASE_URL or from the PG variables', async () => {
  const { hostname, port, username, password, pathname } = new URL(db.url);
  const PG = {
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: decodeURIComponent(username),
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: pathname.slice(1),
  };
  for (const env of [{ DATABASE_URL: db.url }, PG]) {
    const outcome = await cli(
      ['deploy', '--dry-run', '--role-prefix', `${db.rolePrefix}cli_`],
      env,
    );
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
  }
});

test.each([
  [[], /^no command given; see pg-credits --help\n$/],
  [['frobnicate'], /^unknown command 'frobnicate'; see pg-credits --help\n$/],
  [['--frobnicate'], /^unknown option '--frobnicate'; see pg-credits --help\n$/],
  [['deploy', '--frobnicate'], /^deploy: Unknown option '--frobnicate'; see .*deploy --help\n$/],
  [['deploy', 'now'], /^deploy: Unexpected argument 'now'.*\n$/],
  [
    ['deploy', '--lock-timeout', 'long'],
    /^deploy: --lock-timeout must be a whole number, not long; .*\n$/,
  ],
  [['--wait', 'status'], /^the command comes first: pg-credits status --wait; see .*\n$/],
  [
    ['settle', '--batch', '-5'],
    /^settle: --batch has no value: .* is written --batch=-…; see .*\n$/,
  ],
  [['settle', '--batch'], /^settle: --batch has no value; see .*\n$/],
  // This holds even without a mapping.
  [['adopt', '--wait', 'long'], /^adopt: --wait must be a whole number, not long; see .*\n$/],
])('%j is refused with one line and status 2', async (args, line) => {
  const outcome = await cli(args);
  expect(outcome).toMatchObject({ code: 2, stdout: '' });
  expect(outcome.stderr).toMatch(line);
});

test('--help and --version answer without a server', async () => {
  const usage = (await cli(['--help'])).stdout;
  for (const command of commandNames) expect(usage).toContain(`\n  pg-credits ${command} `);
  expect((await cli(['deploy', '--help'])).stdout).toContain('--lock-timeout');
  expect(await cli(['help', 'deploy'])).toEqual(await cli(['deploy', '--help']));
  expect((await cli(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

/** One line on stderr, no stack, no password, status 1. */
async function refused(args: string[], line: RegExp) {
  const outcome = await cli(['deploy', ...args]);
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(line);
  expect(outcome.stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(outcome.stderr).not.toContain('s3cret');
}

test('deploy without a server: one line', async () => {
  const port = await freePort();
  const url = `postgres://me:s3cret@localhost:${port}/app`;
  await refused(['--database-url', url], /^no server answers at localhost:\d+: is it running\?/);
});

test('deploy to a host that does not exist: one line', () =>
  refused(
    ['--database-url', 'postgres://me:s3cret@nowhere.invalid/app'],
    /^no such host: nowhere\.invalid/,
  ));

test.each([
  ['localhost:5432/s3cret', /is not a database URL: postgres:.* is expected, or host=/],
  ['me:s3cret@localhost/shop', /is not a database URL: /],
  ['mysql://me:s3cret@localhost/shop', /is not a database URL: /],
  ['postgresql+psycopg://me:s3cret@localhost/shop', /is not a database URL: /],
  ['jdbc:postgresql://localhost/shop?password=s3cret', /is not a database URL: /],
  ['/var/run/postgresql', /is not a database URL: /],
  ['shop', /is not a database URL: /],
  ['postgres://me:s3cret@one,two/shop', /names several hosts: name the primary alone/],
  ['postgres://me:a/s3cret@localhost/shop', /its port is not a number .*write \/ as %2F/],
  ['postgres://me:s3cret@localhost:0/shop', /its port is not a number/],
  ['postgres://me:%ff@localhost/shop', /%XX that is not a character/],
  ['postgres://localhost/shop?sslmod=require', /libpq does not know: sslmod;/],
  ['postgres://localhost/shop?require_auth=s3cret', /^deploy: require_auth=.*: leave it out/],
  [
    'postgres://localhost/shop?connect_timeout=soon',
    /connect_timeout must be a number of seconds, not soon/,
  ],
  ['host=localhost paswort=s3cret', /libpq does not know: paswort;/],
  ["host=localhost password='s3cret", /key=value pairs cannot be read/],
  ['service=nobody', /^deploy: no service nobody in \S+\.pg_service\.conf;/],
  ['', /--database-url is empty: is its variable set\?/],
])('--database-url %j is refused with one line and status 2', async (url, line) => {
  const outcome = await cli(['deploy', '--database-url', url]);
  expect(outcome).toMatchObject({ code: 2, stdout: '' });
  expect(outcome.stderr).toMatch(line);
  expect(outcome.stderr).toMatch(/^deploy: .*; see pg-credits deploy --help\n$/);
  if (!url.includes('require_auth')) expect(outcome.stderr).not.toContain('s3cret');
});

test('deploy to a database or as a role that does not exist: one line', async () => {
  const noDatabase = databaseUrl(db.url, 'no_such_database');
  await refused(['--database-url', noDatabase], /^database "no_such_database" does not exist/);
  await refused(
    ['--database-url', withUser('nobody_here', 's3cret')],
    /^(role ".*" does not exist|password authentication failed)/,
  );
});

test('deploy without the password that the server asks for: one line', () => {
  const asked = 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string';
  expect(explain(new Error(asked))).toBe(
    'the server asks for a password and none was given: check PGUSER and PGPASSWORD',
  );
});

// The tests' own server may trust everybody, so this one is played: what Postgres sends, byte by
// byte.
test.each([
  ['28P01', 'password authentication failed for user "me"', /^password auth.*URL$/m],
  ['28000', 'no pg_hba.conf entry for host "10.0.0.1"', /^no pg_hba.*sslmode\)$/m],
  ['57P03', 'the database system is starting up', /not ready .*--wait SECONDS$/m],
])('deploy to a server that refuses with %s, %s: one line', async (code, text, line) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {}).once('data', () => socket.write(refusal(code, text)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const url = `postgres://me:s3cret@127.0.0.1:${port}/app`;
    await refused(['--database-url', url], line);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

test('deploy without privileges: one line with the statement that would give them', async () => {
  const other = await createDatabase({ empty: true });
  try {
    const name = `${db.rolePrefix}cli_poor`;
    await db.query(`create role ${name} login password 's3cret'`);
    const url = new URL(other.url);
    url.username = name;
    url.password = 's3cret';
    await refused(
      ['--database-url', url.href, '--role-prefix', `${db.rolePrefix}cli_`],
      /may not create schemas in database .*: an administrator must run: .*grant create on database/,
    );
  } finally {
    await other.drop();
  }
});

test('deploy --wait says what it waits for, and ends', async () => {
  const port = await freePort();
  const url = new URL('postgres://me@127.0.0.1/app');
  url.port = String(port);
  const outcome = await cli(['deploy', '--wait', '1', '--database-url', url.href]);
  expect(outcome.code).toBe(1);
  expect(outcome.stderr).toMatch(/^waiting for the server at 127\.0\.0\.1:\d+\nno server answers/);
});

test('deploy that is interrupted: one line, status 130, and the server is left as it was', async () => {
  const holder = await db.connect();
  await holder.query('begin; select pg_advisory_xact_lock(7238316498215403)');
  const running = cli(['deploy', '--reapply', ...options()]);
  const pid = await deployWaiting(holder.escapeLiteral('pg-credits'));
  await waitUntilBlocked(db, pid);
  running.child.kill('SIGINT');
  const outcome = await running;
  expect(outcome.code).toBe(130);
  expect(outcome.stderr).toMatch(
    /^another deploy is running \(.*\): waiting for it, up to 60 s\ninterrupted: .*safe\n$/,
  );
  await holder.query('rollback');
});

async function deployWaiting(name: string): Promise<number> {
  for (;;) {
    const [row] = await db.query(
      `select pid from pg_stat_activity where application_name = ${name} and datname = current_database()
       and wait_event_type = 'Lock'`,
    );
    if (row) return row.pid;
    await sleep(5);
  }
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function message(type: string, body: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, Buffer.from(body, 'latin1')]);
}

function refusal(code: string, text: string): Buffer {
  return message('E', `SFATAL\0VFATAL\0C${code}\0M${text}\0\0`);
}
