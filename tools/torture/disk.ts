import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Context } from './fault.ts';

export interface Disk {
  folder: string;
  /** Leaves that many bytes free. */
  fillUp(butFor: number): void;
  makeRoom(): void;
}

const size = 400 * 1024 * 1024;

/** A file system of a given size, in memory, if this machine lets us mount one. */
export function mountDisk(defer: Context['defer']): Disk | { skipped: string } {
  const folder = mkdtempSync(join(tmpdir(), 'pg-credits-disk-'));
  const resize = (bytes: number) => mount('-o', `remount,size=${bytes}`, folder);
  try {
    // The server may run as another user.
    mount('-t', 'tmpfs', '-o', `size=${size},mode=777`, 'tmpfs', folder);
  } catch (error) {
    rmSync(folder, { recursive: true });
    const [command, reason = command] = (error as Error).message.trim().split('\n');
    return { skipped: `no small file system can be mounted here (${reason})` };
  }
  defer(async () => {
    execFileSync('umount', [folder]);
    rmSync(folder, { recursive: true });
  });
  return {
    folder,
    fillUp(butFor) {
      const { blocks, bfree, bsize } = statfsSync(folder);
      resize((blocks - bfree) * bsize + butFor);
    },
    makeRoom: () => resize(size),
  };
}

const mount = (...args: string[]) => execFileSync('mount', args, { stdio: 'pipe' });
