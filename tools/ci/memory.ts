import { readFileSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';

/** A file system in memory that has room, and from which programs may run. */
export function roomInMemory(): string | undefined {
  try {
    const [, options = ''] =
      /^\S+ \/dev\/shm tmpfs (\S+)/m.exec(readFileSync('/proc/mounts', 'utf8')) ?? [];
    const { bavail, bsize } = statfsSync('/dev/shm');
    const usable = options !== '' && !options.split(',').includes('noexec');
    const room = Math.min(bavail * bsize, freemem());
    return usable && room > 4 * 2 ** 30 ? '/dev/shm' : undefined;
  } catch {
    return undefined; // not Linux
  }
}
