import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Check, type Outcome, Skip } from './check.ts';
import { withDocker } from './docker.ts';
import { execute } from './execute.ts';
import type { Node } from './node.ts';
import { pgbouncer } from './pgbouncer.ts';

export interface SuiteOptions {
  /** Paths and settings of vitest; all tests without them. */
  args?: string[];
  env?: Record<string, string>;
  node?: Node;
  minutes?: number;
}

/** Tests, counted one by one. */
export function suite(name: string, options: SuiteOptions): Check {
  return {
    name,
    minutes: options.minutes ?? 15,
    async run(signal) {
      const pooled = options.env?.PG_CREDITS_TEST_POOLER !== undefined;
      if (pooled && !pgbouncer) throw new Skip('there is no pgbouncer here');
      return inFolder((folder) => vitest(options, join(folder, 'progress'), signal));
    },
  };
}

/** The same on a Postgres that testcontainers starts. */
export function dockerSuite(name: string, options: SuiteOptions): Check {
  return {
    name,
    minutes: 5,
    run: (signal) =>
      inFolder((folder) =>
        withDocker(join(folder, 'docker'), signal, (env) =>
          vitest({ ...options, env }, join(folder, 'progress'), signal),
        ),
      ),
  };
}

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'pg-credits-ci-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function vitest(
  { args = [], env, node }: SuiteOptions,
  progress: string,
  signal: AbortSignal,
): Promise<Outcome> {
  const command = ['node_modules/vitest/vitest.mjs', 'run', ...args];
  const reporters = ['--reporter=default', '--reporter=tools/ci/reporter.ts'];
  const { code } = await execute(node?.() ?? process.execPath, [...command, ...reporters], {
    signal,
    env: { ...env, PG_CREDITS_CI_PROGRESS: progress },
  }).catch((error) => {
    const { running } = readProgress(progress);
    throw new Error(`${error.message}; it was running ${running.join(', ') || 'no test'}`);
  });
  const { outcome } = readProgress(progress);
  // A file that can't be loaded, a crash or an error outside of the tests is a failure too.
  if (code !== 0) outcome.failed = Math.max(1, outcome.failed);
  if (code === 0 && outcome.passed === 0) throw new Error('no test ran');
  return outcome;
}

function readProgress(file: string): { outcome: Outcome; running: string[] } {
  const outcome = { passed: 0, failed: 0, skipped: 0, failures: [] as string[] };
  const running = new Set<string>();
  for (const line of existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []) {
    if (line === '') continue;
    const { began, ended, passed, failed, skipped, failures } = JSON.parse(line);
    if (began) running.add(began);
    else {
      running.delete(ended);
      outcome.passed += passed;
      outcome.failed += failed;
      outcome.skipped += skipped;
      outcome.failures.push(...failures);
    }
  }
  return { outcome, running: [...running] };
}
