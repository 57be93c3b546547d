import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import type { TestProject } from 'vitest/node';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { databaseUrl, withClient } from './connection.ts';
import { type Pooler, startPooler } from './pgbouncer.ts';
import { buildScripts } from './scripts.ts';
import { type Server, startServer } from './server.ts';
import { pooler as wantsPooler } from './variables.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    serverUrl: string;
    /** The same server through pgbouncer, where PG_CREDITS_TEST_POOLER asks for it; else empty. */
    poolerUrl: string;
    /**
     * For the files of this run, deleted at its end. Its name has a space, as users' folders do.
     */
    folder: string;
    /**
     * Our package, deployed: createDatabase copies it; the names of all databases begin with it.
     */
    template: string;
    /** Roles belong to the whole server: the names of all of this run begin with it. */
    rolePrefix: string;
    /** The strategy for create database. */
    strategy: Server['strategy'];
    major: number;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer();
  const folder = mkdtempSync(join(tmpdir(), 'pg-credits test '));
  const run = randomBytes(3).toString('hex');
  const [template, rolePrefix] = [`pg_credits_test_${run}`, `t${run}_`];
  let pooler: Pooler | undefined;
  const teardown = async () => {
    try {
      await withClient(server.url, (client) => dropAll(client, template, rolePrefix));
    } finally {
      await pooler?.stop();
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  };
  try {
    buildScripts(join(folder, 'package'));
    if (wantsPooler) pooler = await startPooler(server.url, 10);
    const major = await withClient(server.url, (client) =>
      announce(client, server, pooler !== undefined),
    );
    await withClient(server.url, (client) => client.query(`create database ${template}`));
    await deploy({ connectionString: databaseUrl(server.url, template) }, { rolePrefix });
    await withClient(server.url, (client) => closeToConnections(client, template));
    project.provide('serverUrl', server.url);
    project.provide('poolerUrl', pooler?.through(server.url) ?? '');
    project.provide('folder', folder);
    project.provide('template', template);
    project.provide('rolePrefix', rolePrefix);
    project.provide('strategy', server.strategy);
    project.provide('major', major);
  } catch (error) {
    // vitest does not call the teardown of a setup that failed.
    await teardown().catch(() => {});
    throw error;
  }
  return teardown;
}

async function announce(client: pg.Client, { label }: Server, pooled: boolean): Promise<number> {
  const { rows } = await client.query(
    `select current_setting('server_version') as version,
            current_setting('server_version_num')::int / 10000 as major`,
  );
  const way = pooled ? ', queries through pgbouncer in transaction mode' : '';
  console.log(`Tests run on Postgres ${rows[0].version} (${label})${way}.`);
  return rows[0].major;
}

/** `create database … template …` fails while anybody is connected to the template. */
async function closeToConnections(client: pg.Client, template: string): Promise<void> {
  await client.query(`alter database ${template} with allow_connections false`);
  await client.query(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity
     where datname = $1 and backend_type = 'client backend'`,
    [template],
  );
}

/** Also drops what a test left behind, on a server that may not be ours. */
async function dropAll(client: pg.Client, template: string, rolePrefix: string): Promise<void> {
  const databases = await client.query(
    'select datname as name from pg_database where starts_with(datname, $1)',
    [template],
  );
  for (const { name } of databases.rows) {
    await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
  }
  const roles = await client.query(
    'select rolname as name from pg_roles where starts_with(rolname, $1)',
    [rolePrefix],
  );
  const names = roles.rows.map(({ name }) => client.escapeIdentifier(name));
  if (names.length > 0) await client.query(`drop role ${names.join(', ')}`);
}
