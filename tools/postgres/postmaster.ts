import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const pidFile = (data: string) => join(data, 'postmaster.pid');

/** As its own file says, because another server might answer on the port. A killed server leaves the file as it was. */
export function isReady(data: string, before: number): boolean {
  try {
    return readPid(data) !== before && /\nready\s*$/.test(readFileSync(pidFile(data), 'utf8'));
  } catch {
    return false;
  }
}

/** 0 if there is none. */
export function readPid(data: string): number {
  try {
    return Number.parseInt(readFileSync(pidFile(data), 'utf8'), 10) || 0;
  } catch {
    return 0;
  }
}
