import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../../scripts/shell/explain.ts';
import { owner } from '../../postgres/embedded.ts';

// Callgrind writes its counts and starts again from zero whenever the server enters this function.
const mark = 'select pg_sleep(0)';
const marked = 'pg_sleep';

export interface Counting {
  program: string;
  args: string[];
  /** Its working directory, where callgrind writes. */
  folder: string;
  signal: AbortSignal;
}

export interface Counted {
  /** What each phase took, in their order, and callgrind's file about it. */
  phases: { instructions: number; profile: string }[];
  printed: string;
}

/** Phases between marks, a statement on each line, after a warm-up that is not counted. */
export function scriptOf(warmUp: string[], phases: string[][]): string {
  const lines = [...warmUp, mark, mark, ...phases.flatMap((phase) => [...phase, mark])];
  return lines.map((line) => `${line.replace(/\s*\n\s*/g, ' ')}\n`).join('');
}

/** The instructions of a whole server in each phase, without the kernel's. */
export async function count(script: string, counting: Counting): Promise<Counted> {
  const { printed, said, code } = await underCallgrind(script, counting);
  const complaint = /^.*(?:ERROR|FATAL|PANIC): .*$/m.exec(said)?.[0];
  if (complaint) throw new Failure(complaint.replace(/^.*?(?=ERROR|FATAL|PANIC)/, ''));
  if (code !== 0) throw new Failure(`valgrind exited with ${code}: ${said.trim().slice(-300)}`);
  const profiles = readdirSync(counting.folder)
    .filter((name) => /^callgrind\.\d+$/.test(name))
    .sort((a, b) => numberOf(a) - numberOf(b))
    .map((name) => join(counting.folder, name));
  const totals = profiles.map((profile) => readTotal(readFileSync(profile, 'utf8')));
  const figures = withoutMarks(totals);
  return {
    phases: figures.map((instructions, i) => ({ instructions, profile: profiles[i + 2] ?? '' })),
    printed,
  };
}

const numberOf = (name: string) => Number(name.split('.').pop());

/** Everything that callgrind counted in one of its files. */
export function readTotal(profile: string): number {
  const total = /^totals: (\d+)$/m.exec(profile)?.[1];
  if (total === undefined) throw new Failure('callgrind wrote a file without its totals');
  return Number(total);
}

/** The first total is the warm-up's, the second a mark's, and each of the others includes a mark. */
export const withoutMarks = ([, ofMark = 0, ...totals]: number[]) =>
  totals.map((total) => total - ofMark);

async function underCallgrind(script: string, { program, args, folder, signal }: Counting) {
  signal.throwIfAborted();
  const options = ['--tool=callgrind', '--vgdb=no', `--dump-before=${marked}`];
  const out = `--callgrind-out-file=${join(folder, 'callgrind')}`;
  const child = spawn('valgrind', [...options, out, program, ...args], {
    ...owner,
    cwd: folder,
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }, // nothing else: the server copies its environment
  });
  let [printed, said] = ['', ''];
  child.stdout.on('data', (data) => {
    printed += data;
  });
  child.stderr.on('data', (data) => {
    said += data;
  });
  child.stdin.on('error', () => {}); // the server ended before it had read everything, and says why
  child.stdin.end(script);
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    signal.throwIfAborted();
    return { printed, said, code };
  } finally {
    signal.removeEventListener('abort', kill);
  }
}
