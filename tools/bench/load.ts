import { statfs } from 'node:fs/promises';
import type pg from 'pg';
import { Failure } from '../../scripts/shell/explain.ts';
import { checkpoint, flushCommits, runSql, vacuum } from './database.ts';
import type { Options } from './options.ts';

/** A database with a history. What grows on an axis is compared with its first level. */
export interface Level {
  axis: 'entries' | 'grants';
  title: string;
  accounts: number;
  /** In the ledger, or per account. */
  count: number;
}

export function levelsOf({ entries, accounts, quick }: Options): Level[] {
  const most = quick ? Math.min(entries, 1_000_000) : entries;
  const sizes = [10_000, 1_000_000].filter((size) => size < most);
  const grants = quick ? [1, 100] : [1, 100, 10_000];
  return [
    ...[...sizes, most].map((count) => level('entries', Math.min(accounts, 1000), count)),
    ...grants.map((count) => level('grants', 4, count)),
  ];
}

const level = (axis: Level['axis'], accounts: number, count: number): Level => ({
  axis,
  title: `${count.toLocaleString('en')} ${count === 1 ? axis.slice(0, -1) : axis}${axis === 'grants' ? ' on an account' : ''}`,
  accounts,
  count,
});

export async function loadLevel(client: pg.Client, level: Level): Promise<void> {
  const { axis, accounts, count } = level;
  await flushCommits(client, false);
  await client.query('set synchronous_commit = off');
  await runSql(client, 'load.sql');
  await client.query('call bench.load_grants($1, $2)', [accounts, axis === 'grants' ? count : 1]);
  if (axis === 'entries') await client.query('call bench.load_entries($1, $2)', [accounts, count]);
  await vacuum(client);
  await checkpoint(client);
}

// A generous guess: tables and indexes, and their WAL until the next checkpoint.
const bytesPerEntry = 550;
const mostLog = 5e9;

/** Loading takes a superuser, and room. */
export async function checkRoom(admin: pg.Client, levels: Level[]): Promise<void> {
  const { rows } = await admin.query(
    `select current_setting('is_superuser') = 'on' as may,
       current_setting('data_directory', true) as folder`,
  );
  if (!rows[0].may)
    throw new Failure('growth writes a history with triggers off: connect as a superuser');
  const disk = await statfs(rows[0].folder).catch(() => undefined); // undefined: on another machine
  if (!disk) return;
  const entries = levels.reduce(
    (sum, { axis, count }) => sum + (axis === 'entries' ? count : 0),
    0,
  );
  const size = entries * bytesPerEntry;
  const [needed, free] = [size + Math.min(2 * size, mostLog), disk.bavail * disk.bsize];
  if (needed > free)
    throw new Failure(
      `${entries} entries need about ${gigabytes(needed)}, and ${rows[0].folder} has ${gigabytes(free)}: use --entries`,
    );
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
