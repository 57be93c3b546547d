import { chownSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { copyBinaries, findBinaries } from './embedded-binaries.ts';
import { startWatchdog } from './embedded-watchdog.ts';
import { freePort } from './port.ts';
import { isReady, readPid } from './postmaster.ts';

export interface Postgres {
  /** A superuser's URL, for pg and for psql. */
  url: string;
  port: number;
  major: number;
  /** The data directory: it exists until stop(), even after a crash. */
  data: string;
  /** The postmaster's pid, as it wrote it down; the postmaster may have ended. */
  pid(): number;
  /** Resolves when the postmaster has ended: it was stopped, killed, or gave up. */
  ended(): Promise<void>;
  /** Starts it again, on the same data and port, if it has ended; resolves when it takes connections. */
  restart(): Promise<void>;
  /** Resolves when the process is gone and its folder is removed. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  major?: number;
  /** Keeps fsync and its like on, which is slower: for tests of crashes. */
  durable?: boolean;
  /** A folder with the bin/ of another build of that major, which the server's user can read. */
  binaries?: string;
  /** Where its folder is made: by default in the system's temp folder. */
  place?: string;
  /** Fills the data directory instead of initdb, as for a standby; it must belong to `owner`. */
  fill?: (data: string) => Promise<void>;
  settings?: Record<string, string>;
}

// The server refuses to run as root, and initdb wants a user whom passwd names: nobody.
export const owner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;

export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  if (process.platform === 'win32') {
    throw new Error('the embedded Postgres needs /bin/sh: on Windows, use a server of your own');
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options);
    } catch (error) {
      // Somebody took the port between our finding it and the server's binding it.
      if (attempt === 5 || !/Address already in use/i.test(String(error))) throw error;
    }
  }
}

async function startOnce(options: PostgresOptions): Promise<Postgres> {
  const { major = 18, place = tmpdir(), fill } = options;
  const port = await freePort();
  const folder = mkdtempSync(join(place, 'pg-credits-'));
  if (owner) chownSync(folder, owner.uid, owner.gid);

  const locale = major >= 17 ? ' --locale-provider=builtin --builtin-locale=C.UTF-8' : '';
  const watchdog = startWatchdog({
    folder,
    owner,
    initdb: `-U postgres --auth=trust --no-sync --encoding=UTF8 --locale=C${locale}`,
    settings: serverSettings(folder, port, options),
  });
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= watchdog.end().then(() => rmSync(folder, { recursive: true, force: true }));
    return stopping;
  };
  const data = join(folder, 'data');
  let runs = false;
  let ended = Promise.resolve();
  const start = async () => {
    const before = readPid(data);
    runs = true;
    ended = watchdog.go().then(() => {
      runs = false;
    });
    const deadline = Date.now() + 60_000;
    while (!isReady(data, before)) {
      if (Date.now() > deadline) throw new Error('it was not ready after 60 s');
      await Promise.race([ended, sleep(20)]);
      if (!runs) throw new Error('it ended');
    }
  };
  const explained = (error: unknown) =>
    new Error(`Postgres ${major} did not start: ${(error as Error).message}\n${watchdog.words()}`);
  try {
    if (options.binaries) symlinkSync(options.binaries, join(folder, 'native'));
    else copyBinaries(findBinaries(major), join(folder, 'native'), owner);
    await fill?.(data);
    await start();
  } catch (error) {
    await stop();
    throw explained(error);
  }
  watchdog.unref();
  return {
    url: `postgresql://postgres@127.0.0.1:${port}/postgres`,
    port,
    major,
    data,
    pid: () => readPid(data),
    ended: () => ended,
    async restart() {
      if (!runs) await start().catch((error) => Promise.reject(explained(error)));
    },
    stop,
  };
}

function serverSettings(folder: string, port: number, { durable, settings }: PostgresOptions) {
  const fast = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };
  return {
    listen_addresses: '127.0.0.1',
    port: String(port),
    // A socket's path has a limit of about 100 bytes, which a long temp folder exceeds.
    unix_socket_directories: folder.length < 80 ? `"${folder}"` : '',
    max_connections: '300',
    shared_buffers: '64MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(durable ? {} : fast),
    ...settings,
  };
}
