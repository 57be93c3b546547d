import { basename, join } from 'node:path';
import { runner } from 'node-pg-migrate';
import type pg from 'pg';
import type { Package, SqlFile } from '../package.ts';
import { Failure } from '../shell/explain.ts';

type Execute = (file: SqlFile) => Promise<void>;
interface Query {
  text: string;
}

const silent = () => {};
const logger = { debug: silent, info: silent, warn: silent, error: silent };

/**
 * Lets node-pg-migrate run the pending migrations inside the caller's transaction. Left to itself, it would commit
 * and take a session lock, which leaks through a transaction pooler; so it gets a stand-in for the client. The
 * stand-in relies on the calls that version 9.0.0 makes: the version is pinned, and test/deploy/ checks them.
 */
export async function migrate(client: pg.ClientBase, pkg: Package, execute: Execute) {
  const standIn = new StandIn(client, pkg, execute);
  try {
    await runner({
      dbClient: standIn as unknown as pg.ClientBase,
      dir: join(pkg.root, 'migrations'),
      ignorePattern: '(?!\\d{4}_[^/]*\\.sql$).*',
      migrationLoaderStrategies: [{ extensions: ['.sql'], loader: loaderOf(pkg) }],
      migrationsSchema: 'credits_private',
      migrationsTable: 'migrations',
      direction: 'up',
      checkOrder: true,
      singleTransaction: true,
      noLock: true,
      logger,
    });
  } catch (error) {
    // The runner wraps some errors, which loses their SQLSTATE.
    throw standIn.failure ?? error;
  }
}

// The library's own loader reads the file again, and looks for "up migration" and "down migration" anywhere in it,
// even in a function's body. We must run the very text whose checksum we record.
function loaderOf(pkg: Package) {
  const byName = new Map(pkg.migrations.map((file) => [basename(file.path), file]));
  return async (paths: string[]) =>
    paths.map((path) => {
      const file = byName.get(basename(path));
      if (!file) throw new Failure(`${path} appeared while deploying`);
      const up = (pgm: { sql(text: string): void }) => pgm.sql(file.text);
      return { id: path, filePaths: [path], actions: { up, down: false as const } };
    });
}

class StandIn {
  failure: unknown;
  private readonly client: pg.ClientBase;
  private readonly execute: Execute;
  private readonly files: Map<string, SqlFile>;

  constructor(client: pg.ClientBase, pkg: Package, execute: Execute) {
    this.client = client;
    this.execute = execute;
    // pgm.sql() adds a semicolon to a text that does not end with one.
    this.files = new Map(
      pkg.migrations.map((file) => [file.text.endsWith(';') ? file.text : `${file.text};`, file]),
    );
  }

  async query(query: string | Query, values?: unknown[]) {
    const text = typeof query === 'string' ? query : query.text;
    if (/^\s*(begin|commit|rollback)\s*;?\s*$/i.test(text)) return { rows: [] };
    try {
      const file = this.files.get(text);
      if (!file) return await this.client.query(setLocal(text), values);
      await this.execute(file);
      return { rows: [] };
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  }
}

const setLocal = (text: string) =>
  text.replace(/^\s*set\s+search_path\b/i, 'set local search_path');
