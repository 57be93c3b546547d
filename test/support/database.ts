import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, inject } from 'vitest';
import { databaseUrl, withClient } from './connection.ts';

// biome-ignore-start lint/suspicious/noExplicitAny: the shape of a row is the query's
export interface Database {
  url: string;
  name: string;
  /**
   * Of this run. A test that needs roles of its own appends to it: the end of the run drops all.
   */
  rolePrefix: string;
  /** The rows. Through a pool, and the pooler if there is one: each call may be another session. */
  query<T = any>(text: string, params?: unknown[]): Promise<T[]>;
  /** The only row. */
  one<T = any>(text: string, params?: unknown[]): Promise<T>;
  /** A session of its own, never through a pooler; closed by drop() at the latest. */
  connect(): Promise<pg.Client>;
  drop(): Promise<void>;
}

export interface Raised {
  code: string;
  constraint: string | undefined;
  /** Parsed, when it is JSON. */
  detail: any;
  hint: string | undefined;
  message: string;
}
// biome-ignore-end lint/suspicious/noExplicitAny: the shape of a row is the query's

// All our figures are well within 2^53, and a date is not a moment in the tester's time zone.
const parsers: Record<number, (text: string) => unknown> = {
  [pg.types.builtins.INT8]: Number,
  [pg.types.builtins.DATE]: (text) => text,
};
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) => parsers[oid] ?? pg.types.getTypeParser(oid, format),
};

interface DatabaseOptions {
  empty?: boolean;
  /** Another database to copy, to which nobody is connected. */
  template?: string;
  /** The prefix of its roles, where it differs from the run's. */
  rolePrefix?: string;
  /** Gives it roles of its own, unaffected by what other databases do with theirs. */
  ownRoles?: boolean;
}

/** A copy of the template, which has our package deployed; or, `empty`, a database without it. */
export async function createDatabase(options: DatabaseOptions = {}): Promise<Database> {
  const [serverUrl, template] = [inject('serverUrl'), inject('template')];
  const from = options.empty ? 'template0' : (options.template ?? template);
  const id = randomBytes(4).toString('hex');
  const name = `${template}_${id}`;
  const runs = inject('rolePrefix');
  await withClient(serverUrl, (client) => copyDatabase(client, name, from));

  const config = { connectionString: databaseUrl(serverUrl, name), types };
  const throughPooler = inject('poolerUrl') && databaseUrl(inject('poolerUrl'), name);
  const connectionString = throughPooler || config.connectionString;
  const pool = new pg.Pool({ ...config, connectionString, max: 10, idleTimeoutMillis: 0 });
  pool.on('error', () => {}); // drop() ends the sessions that are left
  pool.on('connect', (client) => client.on('error', () => {})); // its query reports it
  const clients: pg.Client[] = [];

  const query = (text: string, params?: unknown[]) => queryPool(pool, text, params);
  return {
    url: config.connectionString,
    name,
    rolePrefix: options.rolePrefix ?? (options.ownRoles ? `${runs}${id}_` : runs),
    query,
    async one(text, params) {
      const rows = await query(text, params);
      if (rows.length !== 1) throw new Error(`${rows.length} rows instead of one: ${text}`);
      return rows[0];
    },
    async connect() {
      const client = new pg.Client(config);
      client.on('error', () => {});
      clients.push(client);
      await client.connect();
      return client;
    },
    async drop() {
      // First the connections, as they may hold what a query of the pool still waits for.
      await Promise.all(clients.map((client) => client.end()));
      await withClient(serverUrl, (client) =>
        client.query(`drop database if exists ${name} with (force)`),
      );
      if (!pool.ended) await pool.end();
    },
  };
}

/**
 * Unlike pool.query, keeps the connection of a failed query: most of our tests have one that
 * fails, and a new connection, which reads the catalogue and plans anew, costs more than the test.
 */
async function queryPool(pool: pg.Pool, text: string, params?: unknown[]) {
  const client = await pool.connect();
  try {
    const { rows } = await client.query(text, params);
    client.release();
    return rows;
  } catch (error) {
    // A script may have failed within a transaction of its own.
    const usable = await client.query('rollback').then(
      () => true,
      () => false,
    );
    client.release(!usable);
    throw error;
  }
}

async function copyDatabase(client: pg.Client, name: string, template: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      await client.query(
        `create database ${name} template ${template} strategy ${inject('strategy')}`,
      );
      return;
    } catch (error) {
      const inUse = (error as pg.DatabaseError).code === '55006';
      if (!inUse || Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}

/** A database for all tests of the calling file. */
export function useDatabase(options?: DatabaseOptions): Database {
  let database: Database | undefined;
  beforeAll(async () => {
    database = await createDatabase(options);
  });
  afterAll(() => database?.drop());
  return new Proxy({} as Database, {
    get(_, key) {
      if (!database) throw new Error('the database is there within tests and hooks only');
      return Reflect.get(database, key);
    },
  });
}

/** A connection that acts as one of our roles, named without its prefix. */
export async function asRole(database: Database, role: string): Promise<pg.Client> {
  const client = await database.connect();
  await client.query(`set role ${pg.escapeIdentifier(database.rolePrefix + role)}`);
  return client;
}

/** Waits until that backend is seen to wait for a lock that another one (or `by`) holds. */
export async function waitUntilBlocked(
  database: Database,
  pid: number,
  options: { by?: number; timeout?: number } = {},
): Promise<void> {
  const deadline = Date.now() + (options.timeout ?? 20_000);
  for (;;) {
    const [backend] = await database.query(
      `select state, wait_event_type, wait_event, query, pg_blocking_pids(pid) as blockers
       from pg_stat_activity where pid = $1`,
      [pid],
    );
    const blockers: number[] = backend?.blockers ?? [];
    const blocked = options.by === undefined ? blockers.length > 0 : blockers.includes(options.by);
    if (blocked && backend.wait_event_type === 'Lock') return;
    if (Date.now() > deadline) {
      throw new Error(`backend ${pid} waits for no lock: ${JSON.stringify(backend)}`);
    }
    await sleep(5);
  }
}

/** The error that Postgres raised; fails the test when it raised none. */
export async function raised(promise: Promise<unknown>): Promise<Raised> {
  const error = await promise.then(
    (value) => {
      throw new Error(`nothing was raised; the result is ${JSON.stringify(value)}`);
    },
    (reason) => reason,
  );
  if (!(error instanceof pg.DatabaseError)) throw error;
  const { code = '', constraint, hint, message } = error;
  return { code, constraint, detail: parsed(error.detail), hint, message };
}

function parsed(detail: string | undefined): unknown {
  try {
    return JSON.parse(detail ?? '');
  } catch {
    return detail;
  }
}
