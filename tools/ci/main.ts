/** Runs everything that CI checks, whichever checks fail, in at most 20 minutes on two cores. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command, runChecks } from './check.ts';
import { checksOf, type Row } from './matrix.ts';
import { roomInMemory } from './memory.ts';
import { nodeFromNpm } from './node.ts';
import { packageCheck } from './package.ts';

// The tests start many servers and copy hundreds of databases, so they use memory for files where there is plenty.
process.env.TMPDIR = roomInMemory() ?? tmpdir();
const folder = mkdtempSync(join(tmpdir(), 'pg-credits-ci-'));

const node22 = nodeFromNpm('22.23.3', folder);
const node24 = nodeFromNpm('24.21.0', folder);

// These run once: tests that depend on neither Postgres's nor Node's version, and those that take longest.
const once = [
  'tools/**',
  'documents/**',
  'model/planted-fault.test.ts',
  'static/parse.test.ts',
  'deploy/{cli,embedded,foreign,format,invoice,killed,lib-package,messages,settle,standby,status,upgrade}*.test.ts',
  'adoption/{compare,cutover,diagnose,init,mapping}/**',
  'adoption/{adopt/{command,killed},shadow/install}.test.ts',
];
// These run on the newest and the oldest Postgres only: the versions between rarely differ.
const twice = [
  'adoption/**',
  'concurrency/**',
  'deploy/{dry-run,own-settings,privileges,states}.test.ts',
  'functions/**',
  'invariants/**',
  'model/**',
  'security/{argument-types,collat*,settings}*.test.ts',
];
// These depend on Node alone, so Postgres 15 leaves them out: its Node runs them with another Postgres.
const ofNode = ['deploy/{conninfo,json,tls}.test.ts'];
// These cover what a pooler could break: transactions, settings, prepared statements, replays.
const pooled = [
  'functions/accounts/settling',
  'functions/batches/',
  'functions/deductions/',
  'functions/errors',
  'functions/holds/',
];
const onDocker = [
  'documents/readme.test.ts',
  'documents/guides.test.ts',
  'concurrency/holds.test.ts',
  'functions/refunds/',
];

const all: string[] = [];
const only = (paths: string[]) => paths.map((path) => `test/${path}`);
const without = (...lists: string[][]) =>
  lists.flat().flatMap((path) => ['--exclude', `test/${path}`]);

// Each row is one run of vitest. Without a Node it is the one that runs CI.
const matrix: Row[] = [
  { postgres: 18, tests: all, minutes: 20 },
  { postgres: 17, node: node24, tests: without(once, twice) },
  { postgres: 16, node: node22, tests: without(once, twice) },
  { postgres: 15, node: node24, tests: without(once, ofNode), draws: 25 },
  { postgres: 18, through: 'pgbouncer', tests: only(pooled) },
  { postgres: 'docker', tests: only(onDocker) },
];

try {
  await runChecks([
    command('types', 'npm run --silent types'),
    command('lint', 'npm run --silent lint'),
    // These checks are commands of their own. They exit with 77 where they can't run.
    command(
      'checksums, snapshot and reference are up to date',
      'npm run --silent generate -- --check',
    ),
    command('plpgsql_check', 'tsx tools/ci/plpgsql-check.ts'),
    command('squawk', 'tsx tools/ci/squawk.ts'),
    packageCheck(folder),
    command('instructions per call', 'npm run --silent bench -- instructions --check', 10),
    ...checksOf(matrix),
  ]);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
