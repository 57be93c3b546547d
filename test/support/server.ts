import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../../tools/postgres/embedded.ts';
import { databaseUrl, embeddedMajor, server as forced, image } from './variables.ts';

export interface Server {
  url: string;
  /** For people: which server this is. */
  label: string;
  /** The cheapest strategy for copying a database. */
  strategy: 'wal_log' | 'file_copy';
  stop(): Promise<void>;
}

const providers = { url: givenServer, docker: dockerServer, embedded: embeddedServer };
type Kind = keyof typeof providers;

/** DATABASE_URL, else Docker, else the embedded one, unless one is forced. */
export async function startServer(): Promise<Server> {
  if (forced) {
    if (!Object.hasOwn(providers, forced)) {
      throw new Error(`PG_CREDITS_TEST_SERVER is url, docker or embedded, not "${forced}"`);
    }
    return providers[forced as Kind]();
  }
  if (databaseUrl) return givenServer();
  if (mayHaveDocker()) {
    try {
      return await dockerServer();
    } catch (error) {
      console.log(`${(error as Error).message}: taking the embedded Postgres`);
    }
  }
  return embeddedServer();
}

async function givenServer(): Promise<Server> {
  const url = databaseUrl;
  if (!url) throw new Error('PG_CREDITS_TEST_SERVER=url needs DATABASE_URL');
  return { url, label: 'DATABASE_URL', strategy: 'wal_log', stop: async () => {} };
}

async function dockerServer(): Promise<Server> {
  const settings = ['fsync=off', 'synchronous_commit=off', 'max_connections=300'];
  try {
    const { PostgreSqlContainer } = await import('@testcontainers/postgresql');
    const container = await new PostgreSqlContainer(image)
      .withCommand(['postgres', ...settings.flatMap((setting) => ['-c', setting])])
      .start();
    const stop = async () => {
      await container.stop();
    };
    const url = container.getConnectionUri();
    return { url, label: `Docker, ${image}`, strategy: 'wal_log', stop };
  } catch (error) {
    const [reason] = String((error as Error).message).split('\n');
    throw new Error(`Docker did not give us ${image} (${reason})`);
  }
}

async function embeddedServer(): Promise<Server> {
  const settings = { wal_level: 'minimal', max_wal_senders: '0', autovacuum: 'off' };
  const { url, stop } = await startPostgres({ major: embeddedMajor, settings });
  // Nothing is flushed: files are copied in a third of the time that their pages take.
  return { url, label: 'embedded', strategy: 'file_copy', stop };
}

/** Avoids loading testcontainers where nothing could answer. */
function mayHaveDocker(): boolean {
  if (process.env.DOCKER_HOST) return true;
  return [
    '/var/run/docker.sock',
    join(homedir(), '.docker/run/docker.sock'),
    join(process.env.XDG_RUNTIME_DIR ?? '/run', 'docker.sock'),
    join(homedir(), '.testcontainers.properties'),
  ].some((path) => existsSync(path));
}
