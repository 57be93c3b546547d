import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { withClient } from '../support/connection.ts';
import { raised } from '../support/database.ts';

// A temp folder of our own shows all that a server leaves; its user may not be ours, hence 0777.
let temp: string;
beforeEach(() => {
  temp = mkdtempSync(join(tmpdir(), 'pg credits demo '));
  chmodSync(temp, 0o777);
});
afterEach(() => rmSync(temp, { recursive: true, force: true }));

test('the demo shows one account for one month: the old figures, ours, and a refund', async () => {
  const { code, stdout, stderr } = await demo([]).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });

  expect(row(stdout, 'balance delta')).toEqual([
    '861 in 72 debits',
    '861, from 1000 to 139',
    'credits.remaining',
  ]);
  expect(row(stdout, 'invoice')).toEqual(['416', '861', 'credits.invoice']);
  expect(row(stdout, 'its lines, summed')).toEqual(['-', '861', 'credits.invoice_lines']);
  expect(row(stdout, 'usage by key, summed')).toEqual([
    '36, a raw count of calls',
    '861 in 72 calls',
    'credits.usage',
  ]);
  expect(row(stdout, 'remaining quota')).toEqual([
    '584, over-stated by 445',
    '139',
    'credits.remaining',
  ]);
  expect(stdout).toMatch(
    /missed the 36 credits of \/search.* and 409 on the\sLLM path.* 12 calls/s,
  );
  expect(stdout).toMatch(/^credits\.discrepancies, .*: 0 rows\.$/m);

  const [, moved = ''] = stdout.split('63 credits, is refunded');
  for (const surface of ['balance delta', 'invoice', 'its lines, summed', 'usage by key, summed'])
    expect(row(moved, surface)).toEqual(['861', '798']);
  expect(row(moved, 'remaining quota')).toEqual(['139', '202']);
  expect(row(moved, 'rows in credits.discrepancies')).toEqual(['0', '0']);

  expect(moved).toMatch(/replayed = true\), and nothing moved: 202 are still available/);
  expect(moved).toMatch(/raises PT402, insufficient credits/);
  const detail = { account_id: 'acme', requested: 203, available: 202 };
  expect(JSON.parse(/^\{.*\}$/m.exec(moved)?.[0] ?? '')).toMatchObject(detail);

  const [, ran = ''] = moved.split('an agent runs on them');
  expect(row(ran, 'balance')).toEqual(['1202', '1202', '765']);
  expect(row(ran, 'held')).toEqual(['0', '1000', '0']);
  expect(row(ran, 'available')).toEqual(['1202', '202', '765']);
  for (const surface of ['invoice', 'its lines, summed', 'usage by key, summed'])
    expect(row(ran, surface)).toEqual(['798', '798', '1235']);
  expect(ran).toMatch(/stopped at its 4th call:\nPT429, 10 left of 100/);
  expect(ran).toMatch(/1000 are revoked, spent or\nnot, which leaves a balance of -325/);
  expect(ran).toMatch(/of 500, repays 325 of it first: 175\.\n.*discrepancies: 0 rows\.$/m);
  expect(ran).toContain('npm run demo -- --keep');

  const lines = stdout.trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(62);
  expect(lines.filter((line) => line.length > 100)).toEqual([]);
  expect(leftovers()).toEqual([]); // the folder goes after the server
});

test('the demo with --keep can be connected to, and ends without a trace at Ctrl-C', async () => {
  const running = demo(['--keep']);
  await vi.waitFor(() => expect(running.stdout()).toMatch(/-- refused\n/), { timeout: 50_000 });
  const [, url = ''] = /^ {2}psql "(postgresql:.*\/app)"$/m.exec(running.stdout()) ?? [];
  const queries = running.stdout().match(/^ {2}(select|update) .*;.*$/gm) ?? [];

  const pids = await withClient(url, async (client) => {
    expect(queries).toHaveLength(6);
    for (const query of queries.slice(0, -1))
      expect((await client.query(query)).rows.length).toBeGreaterThan(0);
    expect(await raised(client.query(queries.slice(-1).join()))).toMatchObject({
      constraint: 'counters_change_only_with_the_ledger',
    });
    expect((await client.query('select * from credits.discrepancies')).rows).toEqual([]);
    const { rows } = await client.query(`select current_setting('data_directory') as path`);
    return [Number.parseInt(readFileSync(join(rows[0].path, 'postmaster.pid'), 'utf8'), 10)];
  });
  expect(pids.filter(isAlive)).toHaveLength(1);

  // To the whole process group, as a terminal's Ctrl-C does.
  process.kill(-running.pid, 'SIGINT');
  expect(await running.ended).toMatchObject({ code: 0, stderr: '' });
  expect(running.stdout()).toMatch(/\nThe server is stopped and its folder removed\.\n$/);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(leftovers()).toEqual([]);
});

test("the demo's --help answers without a server", async () => {
  const { code, stdout } = await demo(['--help']).ended;
  expect(code).toBe(0);
  expect(stdout).toMatch(/^npm run demo: .*--keep/s);
});

test.each([['--frobnicate'], ['now']])(
  'the demo refuses %s with one line and status 2',
  async (arg) => {
    const outcome = await demo([arg]).ended;
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toMatch(/^Un.*'(--frobnicate|now)'.*; see npm run demo -- --help\n$/);
  },
);

test('the demo ends with one line and status 1 when its server does not start', async () => {
  // tsx would make the folder, for its cache.
  const missing = { TMPDIR: join(temp, 'missing'), TSX_DISABLE_CACHE: '1' };
  const { code, stderr } = await demo([], missing).ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/^ENOENT: no such file or directory, mkdtemp .*missing.*\n$/);
});

/** A process of its own, to which settings for another server mean nothing. */
function demo(args: string[], env: Record<string, string> = {}) {
  const elsewhere = { PGHOST: 'nowhere.invalid', PGSSLMODE: 'require', PGOPTIONS: '-c nonsense=1' };
  const child = spawn(process.execPath, ['--import', 'tsx', 'tools/demo/main.ts', ...args], {
    env: { ...process.env, ...elsewhere, DATABASE_URL: 'nowhere', TMPDIR: temp, ...env },
    detached: true,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>(
    (resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, stdout, stderr }));
    },
  );
  return { pid: child.pid ?? 0, stdout: () => stdout, ended };
}

/** The cells beside a surface's name, where the text first has a row for it. */
function row(text: string, name: string): string[] {
  const cells = text.split('\n').map((line) => line.trim().split(/ {2,}/));
  return cells.find(([first]) => first === name)?.slice(1) ?? [];
}

function leftovers(): string[] {
  return readdirSync(temp).filter((path) => path.startsWith('pg-credits-'));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
