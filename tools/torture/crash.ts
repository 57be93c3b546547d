import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Postgres } from '../postgres/embedded.ts';

interface Process {
  pid: number;
  parent: number;
  dead: boolean;
}

/** Kills the postmaster and all its processes at once, with -9: none finishes what it was doing. */
export async function crash(server: Postgres): Promise<void> {
  const postmaster = server.pid();
  process.kill(postmaster, 'SIGSTOP'); // it starts no further process while we look
  const family = processes().filter(({ parent }) => parent === postmaster);
  const pids = [...family.map(({ pid }) => pid), postmaster];
  for (const pid of pids) signal(pid);
  await server.ended();
  while (processes().some(({ pid, dead }) => !dead && pids.includes(pid))) await sleep(5);
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function processes(): Process[] {
  return process.platform === 'linux' ? fromProc() : fromPs();
}

// Small images of Linux have no ps.
function fromProc(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const [, state, parent] =
          /\) (\w) (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? [];
        return [
          { pid: Number(name), parent: Number(parent), dead: state === 'Z' || state === 'X' },
        ];
      } catch {
        return []; // the process has ended meanwhile
      }
    });
}

function fromPs(): Process[] {
  const lines = execFileSync('ps', ['-axo', 'pid=,ppid=,stat='], { encoding: 'utf8' }).split('\n');
  return lines.map((line) => {
    const [pid, parent, state = ''] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), dead: state.startsWith('Z') };
  });
}
