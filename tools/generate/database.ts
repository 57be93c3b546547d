import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { migrationName, packageRoot, readPackage } from '../../scripts/package.ts';
import { connect } from '../../scripts/postgres/connect.ts';
import { readOnly } from '../../scripts/postgres/live.ts';
import {
  linesBefore,
  ofMigrations,
  readFacts,
  readSnapshot,
} from '../../scripts/snapshot/snapshot.ts';
import { startPostgres } from '../postgres/embedded.ts';
import { readReference } from './reference.ts';

export const snapshotPath = 'sql/schema.snapshot';

interface Made {
  snapshot: string;
  reference: string;
}

/** Reads the snapshot and the reference from a database to which this package was deployed. */
export async function fromDatabase(): Promise<Made> {
  const server = await startPostgres({ major: 18 });
  const folder = mkdtempSync(join(tmpdir(), 'pg-credits-generate-'));
  try {
    const before = await withDatabase(server.url, (client, url) => linesOf(client, url, folder));
    // This deploy must not be compared with the old snapshot, which is about to be replaced.
    cpSync(join(packageRoot, 'migrations'), join(folder, 'migrations'), { recursive: true });
    cpSync(join(packageRoot, 'sql'), join(folder, 'sql'), { recursive: true });
    rmSync(join(folder, snapshotPath), { force: true });
    return await withDatabase(server.url, async (client, url) => {
      await deploy({ connectionString: url }, { root: folder });
      return readOnly(client, async ({ rolePrefix }) => ({
        snapshot: [await readSnapshot(client, rolePrefix), ...before].join('\n'),
        reference: await readReference(client),
      }));
    });
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Tables and types before each migration: they date a database that does not record its migrations. */
async function linesOf(client: pg.Client, url: string, root: string): Promise<string[]> {
  mkdirSync(join(root, 'migrations'));
  mkdirSync(join(root, 'sql'));
  const { migrations } = readPackage();
  const lines: string[] = [];
  let before: Map<string, string> | undefined;
  for (const file of migrations) {
    writeFileSync(join(root, file.path), file.text);
    await deploy({ connectionString: url }, { root });
    const facts = await readOnly(client, ({ rolePrefix }) => readFacts(client, rolePrefix));
    const after = ofMigrations(new Map(facts.map(({ key, value }) => [key, value])));
    if (before) lines.unshift(...linesBefore(migrationName(file), before, after));
    before = after;
  }
  return [
    '# Tables and types as each migration found them, where they were not as after it.',
    ...lines,
    '',
  ];
}

async function withDatabase<T>(
  serverUrl: string,
  use: (client: pg.Client, url: string) => Promise<T>,
): Promise<T> {
  const name = `generate_${Math.random().toString(36).slice(2)}`;
  const admin = await connect({ connectionString: serverUrl });
  await admin.query(`create database ${name}`).finally(() => admin.end());
  const url = new URL(serverUrl);
  url.pathname = name;
  const client = await connect({ connectionString: url.href });
  return use(client, url.href).finally(() => client.end());
}
