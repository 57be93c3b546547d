import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import pg from 'pg';
import { Failure } from '../../scripts/shell/explain.ts';
import { type Driver, type Outcome, type Run, rampUp } from './driver.ts';

const execute = promisify(execFile);

export async function findPgbench(path: string): Promise<Driver | undefined> {
  try {
    const { stdout } = await execute(path, ['--version']);
    const version = /\d+(\.\d+)*/.exec(stdout)?.[0] ?? '';
    return { name: `pgbench ${version}`, run: (run) => runPgbench(path, run) };
  } catch {
    return undefined;
  }
}

/** pgbench's clock runs while it connects. If connecting used up the time, pgbench runs again, for longer. */
async function runPgbench(path: string, run: Run): Promise<Outcome> {
  let transactions = 0;
  for (const longer of [0, 2, 6]) {
    const outcome = await runFor(rampUp(run.clients) + Math.ceil(run.seconds) + longer, path, run);
    transactions += outcome.transactions;
    if (outcome.perSecond > 0) return { ...outcome, transactions };
  }
  throw new Failure('pgbench could do nothing but connect: the machine is too busy to measure');
}

async function runFor(seconds: number, path: string, run: Run): Promise<Outcome> {
  const { url, script, variables, clients, signal } = run;
  const threads = Math.min(clients, availableParallelism());
  const defined = Object.entries(variables).flatMap(([name, value]) => ['-D', `${name}=${value}`]);
  const args = ['--no-vacuum', '--protocol=prepared', '--progress=1', ...defined];
  const sizes = [`-c${clients}`, `-j${threads}`, `-T${seconds}`];
  const env = { ...process.env, ...libpq(url), LC_ALL: 'C' };
  try {
    const ended = await execute(path, [...args, ...sizes, `-f${script}`], { env, signal });
    return readOutcome(ended.stdout, ended.stderr, rampUp(clients));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Failure) throw error;
    const lines = String((error as { stderr?: string }).stderr ?? '').split('\n');
    const line = lines.find((each) => /error|FATAL|aborted/.test(each));
    throw new Failure(line ?? `pgbench failed: ${(error as Error).message}`);
  }
}

/** What pgbench counted in all, and its speed after the ramp, if its lines of progress show it. */
export function readOutcome(stdout: string, stderr: string, ramp: number): Outcome {
  const number = (pattern: RegExp, text: string) => Number(pattern.exec(text)?.[1]);
  const transactions = number(/transactions actually processed: (\d+)/, stdout);
  const failed = number(/failed transactions: (\d+)/, stdout);
  if (failed > 0) throw new Failure(`pgbench: ${failed} transactions failed`);
  const duration = transactions / number(/^tps = ([\d.]+)/m, stdout);
  // Unlike its rates, its progress lines count the time that it takes to connect.
  const connecting = number(/initial connection time = ([\d.]+) ms/, stdout) / 1000;
  let [from, skipped] = [0, 0];
  for (const [, at, tps] of stderr.matchAll(/^progress: ([\d.]+) s, ([\d.]+) tps/gm)) {
    if (from >= ramp - 0.5) break;
    skipped += (Number(at) - Math.max(from, connecting)) * Number(tps);
    from = Number(at);
  }
  const perSecond = (transactions - skipped) / (duration + connecting - from);
  return { transactions, perSecond: from === 0 ? Number.NaN : perSecond };
}

/** The URL as libpq's variables, because everybody on the machine could read it on a command line. */
function libpq(url: string): Record<string, string> {
  const client = new pg.Client({ connectionString: url });
  const { user = '', host, port, database = '', password } = client;
  const sslmode = new URL(url).searchParams.get('sslmode');
  return {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    ...(password ? { PGPASSWORD: password } : {}),
    ...(sslmode ? { PGSSLMODE: sslmode } : {}),
  };
}
