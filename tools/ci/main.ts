/** Everything that CI checks, whichever fail, in at most 20 minutes on two cores. */
import { mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { command, runChecks } from './check.ts';
import { nodeFromNpm } from './node.ts';
import { packageCheck } from './package.ts';
import { dockerSuite, suite } from './suite.ts';

// The tests' servers come and go, and copy hundreds of databases: in memory, where there is plenty.
process.env.TMPDIR = roomInMemory() ?? tmpdir();
const folder = mkdtempSync(join(tmpdir(), 'pg-credits-ci-'));

const node22 = nodeFromNpm('22.23.3', folder);
const node24 = nodeFromNpm('24.21.0', folder);

// On one Postgres and one Node only: what depends on neither, and what takes longest.
const once = [
  'tools/**',
  'documents/operating.test.ts',
  'model/planted-fault.test.ts',
  'static/parse.test.ts',
  'deploy/{cli,embedded,foreign,format,invoice,killed,lib-package,messages,settle,standby,status,upgrade}*.test.ts',
  'adoption/{adopt/{command,killed},diagnose/diagnose,init/*,mapping/*,shadow/install}.test.ts',
];
// What only repeats on another version runs on the newest and the oldest.
const twice = [
  'adoption/**',
  'concurrency/**',
  'deploy/{dry-run,own-settings,privileges,states}.test.ts',
  'functions/**',
  'invariants/**',
  'model/**',
  'security/{argument-types,collat*,settings}*.test.ts',
];
const without = (paths: string[]) => paths.flatMap((path) => ['--exclude', `test/${path}`]);
const least = without([...once, ...twice]);
// Of Node alone: on each of the three without Postgres 15.
const ofNode = ['deploy/{conninfo,json,tls}.test.ts'];
const on = (major: number) => ({
  PG_CREDITS_TEST_SERVER: 'embedded',
  PG_CREDITS_TEST_MAJOR: String(major),
});

try {
  await runChecks([
    command('types', 'npm run --silent types'),
    command('lint', 'npm run --silent lint'),
    // Checks that are commands of their own, as of the SQL: they exit 77 where they can't be made.
    command(
      'checksums, snapshot and reference are up to date',
      'npm run --silent generate -- --check',
    ),
    command('plpgsql_check', 'tsx tools/ci/plpgsql-check.ts'),
    command('squawk', 'tsx tools/ci/squawk.ts'),
    packageCheck(folder),
    command('instructions per call', 'npm run --silent bench -- instructions --check', 10),
    suite('all tests on Postgres 18', { env: on(18), minutes: 20 }),
    node24.check,
    suite('tests on Postgres 17, Node 24', { env: on(17), args: least, node: node24.node }),
    node22.check,
    suite('tests on Postgres 16, Node 22', { env: on(16), args: least, node: node22.node }),
    suite('tests on Postgres 15, Node 24', {
      env: { ...on(15), PG_CREDITS_TEST_RUNS: '40' },
      args: without([...once, ...ofNode]),
      node: node24.node,
    }),
    // What a pooler could get wrong: transactions, settings, statements that are prepared, replays.
    suite('tests through pgbouncer in transaction mode', {
      env: { ...on(18), PG_CREDITS_TEST_POOLER: 'pgbouncer' },
      args: [
        'accounts/settling',
        'batches/',
        'deductions/',
        'errors',
        'holds/',
        'refunds/',
        'revocations/',
      ].map((name) => `test/functions/${name}`),
    }),
    dockerSuite('tests on Docker, by testcontainers', {
      args: [
        'test/documents/readme.test.ts',
        'test/concurrency/holds.test.ts',
        'test/functions/refunds/',
        'test/functions/revocations/',
      ],
    }),
  ]);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** A file system in memory with room for it, from which programs may be run. */
function roomInMemory(): string | undefined {
  try {
    const [, options = ''] =
      /^\S+ \/dev\/shm tmpfs (\S+)/m.exec(readFileSync('/proc/mounts', 'utf8')) ?? [];
    const { bavail, bsize } = statfsSync('/dev/shm');
    const usable = options !== '' && !options.split(',').includes('noexec');
    const room = Math.min(bavail * bsize, freemem());
    return usable && room > 4 * 2 ** 30 ? '/dev/shm' : undefined;
  } catch {
    return undefined; // no Linux
  }
}
