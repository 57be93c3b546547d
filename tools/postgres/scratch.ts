import { randomBytes } from 'node:crypto';
import { totalmem } from 'node:os';
import type pg from 'pg';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { connect } from '../../scripts/postgres/connect.ts';
import { startPostgres } from './embedded.ts';
import { forgetSettings } from './environment.ts';

export interface Scratch {
  /** A connection to the server, for making databases. */
  admin: pg.Client;
  /** The URL of a new database with pg-credits in it. */
  create(): Promise<string>;
  isOwn: boolean;
  /** Leaves nothing on the server, and says what it removed. */
  close(): Promise<string>;
}

/** A durable server of our own, or the given one, in databases that we create and drop. */
export async function openScratch(given: string | undefined, wait: number): Promise<Scratch> {
  const own = given === undefined ? await startOwn() : undefined;
  const server = given ?? own?.url ?? '';
  const prefix = `credits_bench_${randomBytes(4).toString('hex')}_`;
  try {
    const admin = await connect({ connectionString: server }, { wait });
    let count = 0;
    return {
      admin,
      isOwn: own !== undefined,
      async create() {
        const url = new URL(server);
        url.pathname = `/${prefix}template`;
        if (count === 0) await deployTemplate(admin, url, prefix);
        count += 1;
        await admin.query(`create database ${prefix}${count} template ${prefix}template`);
        url.pathname = `/${prefix}${count}`;
        return url.href;
      },
      async close() {
        if (!own) await dropAll(admin, prefix);
        await admin.end().catch(() => {});
        await own?.stop();
        return own ? 'the server is stopped and its folder removed' : 'what it created is dropped';
      },
    };
  } catch (error) {
    await own?.stop();
    throw error;
  }
}

// Each measurement requests a checkpoint beforehand, and none comes by itself within it.
function startOwn() {
  forgetSettings();
  const megabytes = Math.floor(Math.min(2 ** 31, totalmem() / 4) / 2 ** 20);
  return startPostgres({
    durable: true,
    settings: {
      shared_buffers: `${megabytes}MB`,
      max_wal_size: '4GB',
      checkpoint_timeout: '1h',
    },
  });
}

async function deployTemplate(admin: pg.Client, url: URL, rolePrefix: string): Promise<void> {
  await admin.query(`create database ${url.pathname.slice(1)}`);
  await deploy({ connectionString: url.href }, { rolePrefix });
  const client = await connect({ connectionString: url.href });
  try {
    const roles = ['spender', 'granter', 'auditor'].map((role) => `${rolePrefix}credits_${role}`);
    await client.query(`grant ${roles.join(', ')} to current_user`);
  } finally {
    await client.end();
  }
}

async function dropAll(admin: pg.Client, prefix: string): Promise<void> {
  for (const [catalogue, name, statement] of [
    ['pg_database', 'datname', (id: string) => `drop database ${id} with (force)`],
    ['pg_roles', 'rolname', (id: string) => `drop role ${id}`],
  ] as const) {
    const { rows } = await admin.query(
      `select ${name} as name from ${catalogue} where starts_with(${name}, $1)`,
      [prefix],
    );
    for (const row of rows) await admin.query(statement(admin.escapeIdentifier(row.name)));
  }
}
