import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { pgbouncer } from '../../tools/ci/pgbouncer.ts';
import { freePort } from '../../tools/postgres/port.ts';

export interface Pooler {
  /** The same database of the same server, through the pooler. */
  through(url: string): string;
  stop(): Promise<void>;
}

/** pgbouncer in transaction mode, before every database of a server. */
export async function startPooler(serverUrl: string, poolSize: number): Promise<Pooler> {
  if (!pgbouncer) throw new Error('there is no pgbouncer here');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'pg-credits-pgbouncer-'));
  const file = configure(folder, serverUrl, port, poolSize);
  // pgbouncer refuses to run as root.
  const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;
  if (nobody) chownSync(folder, nobody.uid, nobody.gid);
  const child = spawn(pgbouncer, ['-q', file], { ...nobody, stdio: 'ignore' });
  const ended = once(child, 'exit');
  const through = (url: string) => {
    const changed = new URL(url);
    changed.host = `127.0.0.1:${port}`;
    return changed.href;
  };
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true });
  };
  try {
    await Promise.race([answers(through(serverUrl)), ended.then(() => fail('pgbouncer ended'))]);
  } catch (error) {
    await stop();
    throw error;
  }
  return { through, stop };
}

function configure(folder: string, serverUrl: string, port: number, poolSize: number): string {
  const server = new pg.Client({ connectionString: serverUrl });
  const users = join(folder, 'users.txt');
  writeFileSync(users, `"${server.user}" "${server.password ?? ''}"\n`);
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]
* = host=${server.host} port=${server.port} user=${server.user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${poolSize}
`,
  );
  return file;
}

async function answers(url: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    try {
      await client.connect();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(20);
    } finally {
      await client.end();
    }
  }
}

function fail(message: string): never {
  throw new Error(message);
}
