import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { deploy } from '../../../scripts/deploy/deploy.ts';
import { connect } from '../../../scripts/postgres/connect.ts';
import { Failure } from '../../../scripts/shell/explain.ts';
import { owner, type Postgres, startPostgres } from '../../postgres/embedded.ts';
import { forgetSettings } from '../../postgres/environment.ts';

const execute = promisify(execFile);

/** A database with pg-credits and the accounts in it, whose server is stopped. */
export interface Ground {
  server: string;
  /** The program's path. */
  sha256: string;
  program: string;
  /** A folder with a fresh copy of the database, for as long as it is used. */
  withCopy<T>(use: (folder: string, data: string) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface GroundOptions {
  /** A folder with the bin/ of another build, or the major version of an embedded one. */
  server?: string | undefined;
  /** The folder of another package. */
  root?: string | undefined;
}

export async function prepareGround({ server, root }: GroundOptions): Promise<Ground> {
  forgetSettings();
  const postgres = await startPostgres({
    ...(await chooseServer(server)),
    settings: { autovacuum: 'off' },
  });
  // The copies are below the server's folder, and so are removed with it, however this process ends.
  const folder = dirname(postgres.data);
  const program = join(folder, 'native/bin/postgres');
  try {
    const version = await fill(postgres, root);
    await shutDown(postgres);
    let copies = 0;
    return {
      server: version,
      sha256: createHash('sha256').update(readFileSync(program)).digest('hex'),
      program,
      async withCopy(use) {
        copies += 1;
        const place = join(folder, `copy-${copies}`);
        mkdirSync(place);
        if (owner) chownSync(place, owner.uid, owner.gid);
        try {
          await execute('cp', ['-a', postgres.data, place]);
          return await use(place, join(place, 'data'));
        } finally {
          rmSync(place, { recursive: true, force: true });
        }
      },
      close: () => postgres.stop(),
    };
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}

async function chooseServer(server = '18'): Promise<{ major: number; binaries?: string }> {
  if (/^\d+$/.test(server)) return { major: Number(server) };
  const { stdout } = await execute(join(server, 'bin/postgres'), ['--version']).catch(() => {
    throw new Failure(`no bin/postgres in ${server}: --server must be the folder above bin/`);
  });
  return { major: Number(/\d+/.exec(stdout)?.[0]), binaries: server };
}

// The tables are not analysed: if sessions knew how small they are, they would plan to scan them whole.
async function fill({ url }: Postgres, root: string | undefined): Promise<string> {
  await deploy({ connectionString: url }, root === undefined ? {} : { root });
  const client = await connect({ connectionString: url });
  try {
    await client.query(read('../contenders.sql'));
    await client.query('call bench.seed(20)');
    await client.query(read('seed.sql'));
    const { rows } = await client.query('select version()');
    return String(rows[0].version);
  } finally {
    await client.end();
  }
}

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');

async function shutDown(postgres: Postgres): Promise<void> {
  let runs = true;
  void postgres.ended().then(() => {
    runs = false;
  });
  process.kill(postgres.pid(), 'SIGINT');
  while (runs) await sleep(20);
}
