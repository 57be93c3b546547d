import { once } from 'node:events';
import { chownSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { copyBinaries, findBinaries } from './embedded-binaries.ts';
import { startWatchdog } from './embedded-watchdog.ts';

export interface Postgres {
  /** Of a superuser, for pg and for psql. */
  url: string;
  port: number;
  major: number;
  /** Resolves when the process is gone and its folder is removed. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  major?: number;
  /** Keep fsync and its like on: slower, for tests of crashes. */
  durable?: boolean;
  /** A folder with the bin/ of another build of that major, which the server's user can read. */
  binaries?: string;
  settings?: Record<string, string>;
}

// The server refuses to run as root, and initdb wants a user whom passwd names: nobody.
const owner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;

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
  const { major = 18 } = options;
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'pg-credits-'));
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
  try {
    if (options.binaries) symlinkSync(options.binaries, join(folder, 'native'));
    else copyBinaries(findBinaries(major), join(folder, 'native'), owner);
    watchdog.go();
    const deadline = Date.now() + 60_000;
    while (!isReady(folder)) {
      if (Date.now() > deadline) throw new Error('it was not ready after 60 s');
      const ended = await Promise.race([watchdog.closed.then(() => true), sleep(20, false)]);
      if (ended) throw new Error('it ended');
    }
  } catch (error) {
    await stop();
    const reason = `${(error as Error).message}\n${watchdog.words()}`;
    throw new Error(`Postgres ${major} did not start: ${reason}`);
  }
  watchdog.unref();
  return { url: `postgresql://postgres@127.0.0.1:${port}/postgres`, port, major, stop };
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

/** By its own word: on the port, another server might answer. */
function isReady(folder: string): boolean {
  try {
    return /\nready\s*$/.test(readFileSync(join(folder, 'data/postmaster.pid'), 'utf8'));
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
