import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { useDatabase } from '../support/database.ts';

const db = useDatabase();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pg-credits bench '));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Takes seconds on an idle machine; each test deploys, and one also starts a server.
const timeout = 180_000;
const tiny = [
  '--driver',
  'node',
  '--quick',
  '--rounds',
  '1',
  '--seconds',
  '0.1',
  '--accounts',
  '20',
];
const range = { median: expect.any(Number), min: expect.any(Number), max: expect.any(Number) };

test('the bench of alternatives, run small, has every contender, the goals and a plot', {
  timeout,
}, async () => {
  const { code, stdout, stderr } = await bench(
    [...tiny, '--clients', '2', '--json', '--out', folder],
    {
      DATABASE_URL: '',
    },
  ).ended;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const report = JSON.parse(stdout);
  expect(JSON.parse(readFileSync(join(folder, 'bench.json'), 'utf8'))).toEqual(report);
  expect(report.settings).toMatchObject({ fsync: 'on', synchronous_commit: 'on' });
  expect(report.build.cflags).toMatch(/-O/);

  const contenders = (title: string) =>
    report.cells.find((cell: { title: string }) => cell.title === title)?.contenders;
  const names = (title: string) => contenders(title).map(({ name }: { name: string }) => name);
  expect(names('20 accounts, 2 clients')).toEqual([
    'floor',
    'floor in SQL',
    'by hand',
    'shared house account',
    'deduct_credits',
  ]);
  expect(names('20 accounts, 2 clients, 1 ms away')).toEqual(['by hand', 'deduct_credits']);
  expect(names('20 accounts, 2 clients, commits not flushed')).toEqual(['floor', 'deduct_credits']);
  expect(names('one hot account, 2 clients')).toEqual(['deduct_credits', 'batch of 100']);
  for (const cell of report.cells)
    for (const { deductions_per_second: figures } of cell.contenders) {
      expect(figures).toEqual({ ...range, rounds: [figures.median] });
      expect(figures.median).toBeGreaterThan(0);
    }
  expect(report.goals.map(({ goal }: { goal: number }) => goal)).toEqual([0.8, 0.55, 1, 2, 5, 30]);
  for (const { measured } of report.goals) expect(measured).toEqual(range);
  const round_trip = { direct_ms: expect.any(Number), added_ms: expect.any(Number) };
  expect(report).toMatchObject({ round_trip });

  const svg = readFileSync(join(folder, 'bench.svg'), 'utf8');
  expect(unbalanced(svg)).toEqual([]);
  expect(svg.match(/class="value"/g)).toHaveLength(6);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});

test('the bench of growth, run small on a given server, drops its databases', {
  timeout,
}, async () => {
  const groups = ['--only', 'levels,batches', '--entries', '400'];
  const { code, stdout, stderr } = await bench(['growth', ...tiny, ...groups, '--json']).ended;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { questions, levels, bytes, goals } = JSON.parse(stdout);
  expect(questions).toHaveLength(9);
  for (const question of questions)
    expect(question).toMatchObject({
      what: expect.stringMatching(/^batch of 100: /),
      ms: [expect.any(Number)],
      measured: question.ms[0],
      goal: 2000,
      reached: expect.any(Boolean),
    });
  expect(levels.map(({ title }: { title: string }) => title)).toEqual([
    '400 entries',
    '1 grant on an account',
    '100 grants on an account',
  ]);
  for (const { microseconds } of levels)
    for (const call of ['deduct', 'remaining', 'invoice', 'transactions'])
      expect(microseconds[call]).toEqual([expect.any(Number)]);
  expect(bytes).toMatchObject({ deductions: 400, lengths: { idempotency_key: 36 } });
  expect(bytes.per_deduction).toBeGreaterThan(100);
  expect(goals).toHaveLength(3);
  expect(await leftovers()).toEqual([]);
});

test('the bench says so when it is interrupted, and leaves nothing', { timeout }, async () => {
  const running = bench([...tiny, '--seconds', '60']);
  await running.said('warm-up');
  running.kill('SIGINT');
  const { code, stderr } = await running.ended;
  expect(stderr).toMatch(/interrupted: what it created is dropped\n$/);
  expect(code).toBe(130);
  expect(await leftovers()).toEqual([]);
});

test('the bench refuses a wrong argument with one line and status 2, before it starts a server', async () => {
  const outcome = await bench(['--driver', 'mysql']).ended;
  expect(outcome).toEqual({
    code: 2,
    stdout: '',
    stderr: '--driver is pgbench or node: mysql; see npm run bench -- --help\n',
  });
});

function bench(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'tools/bench/main.ts', ...args], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    env: { ...process.env, DATABASE_URL: inject('serverUrl'), ...env },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  const said = (words: string) =>
    new Promise<void>((resolve) => {
      child.stderr.on('data', () => {
        if (stderr.includes(words)) resolve();
      });
    });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { ended, said, kill: (signal: NodeJS.Signals) => child.kill(signal) };
}

const leftovers = () =>
  db.query(
    `select datname as name from pg_database where starts_with(datname, 'credits_bench_')
     union all select rolname from pg_roles where starts_with(rolname, 'credits_bench_')`,
  );

/**
 * Tags that do not match, and attributes that are not quoted: what an XML parser stumbles over
 * first.
 */
function unbalanced(svg: string): string[] {
  const [open, wrong]: [string[], string[]] = [[], []];
  for (const [tag, end, name = '', attributes = '', empty] of svg.matchAll(
    /<(\/?)([a-z]+)([^<>]*?)(\/?)>/g,
  )) {
    if (!/^( [a-zA-Z0-9-]+="[^"&<]*")*$/.test(attributes)) wrong.push(tag);
    if (end && open.pop() !== name) wrong.push(tag);
    if (!end && !empty) open.push(name);
  }
  return [...wrong, ...open, ...(svg.replace(/<[^<>]*>/g, '').match(/[<>]|&(?!#\d+;)/g) ?? [])];
}
