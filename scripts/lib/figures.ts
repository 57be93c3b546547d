import type pg from 'pg';
import { type Live, readOnly } from './live.ts';
import { migrationName, readPackage } from './package.ts';
import { readApplied } from './plan.ts';

interface Balance {
  unit: string;
  scale: number;
  accounts: bigint;
  balance: bigint;
}

/** null stands for what the connected user may not read. */
export interface StatusReport {
  database: string;
  server: string;
  owner: string;
  package_version: string;
  deployed_version: string | null;
  /** Migrations of the package that the database does not have. */
  pending_migrations: string[] | null;
  /** Migrations of the database that the package does not have. */
  unknown_migrations: string[] | null;
  /** Files that are not as applied, or of only one of the two. */
  differing_files: string[] | null;
  accounts: bigint | null;
  entries: bigint | null;
  balances: Balance[] | null;
  due_accounts: bigint | null;
  due_since: string | null;
}

export function readStatus(client: pg.ClientBase): Promise<StatusReport> {
  return readOnly(client, async (live) => ({
    database: live.database,
    server: live.server,
    owner: live.owner,
    ...(await compareFiles(client, live)),
    ...(await readFigures(client, live)),
  }));
}

async function compareFiles(client: pg.ClientBase, live: Live) {
  const { version, migrations, files } = readPackage(undefined, live.rolePrefix);
  const needed = ['credits_private.migrations', 'credits_private.applied_files'];
  if (!needed.every((name) => live.readable.has(name))) {
    const unread = { pending_migrations: null, unknown_migrations: null, differing_files: null };
    return { package_version: version, deployed_version: null, ...unread };
  }
  const applied = await readApplied(client);
  const pending = migrations.filter((file) => !applied.migrations.includes(migrationName(file)));
  const names = migrations.map(migrationName);
  const ours = [...migrations.filter((file) => !pending.includes(file)), ...files];
  const known = new Set(['package', ...[...migrations, ...files].map(({ path }) => path)]);
  const differing = ours.filter((file) => applied.checksums.get(file.path) !== file.checksum);
  const forgotten = [...applied.checksums.keys()].filter((path) => !known.has(path));
  return {
    package_version: version,
    deployed_version: applied.checksums.get('package') ?? null,
    pending_migrations: pending.map(({ path }) => path),
    unknown_migrations: applied.migrations.filter((name) => !names.includes(name)),
    differing_files: [...differing.map(({ path }) => path), ...forgotten].sort(),
  };
}

async function readFigures(client: pg.ClientBase, { readable }: Live) {
  const direct = readable.has('credits_private.accounts');
  const unread = { accounts: null, entries: null, balances: null };
  const due = await readDue(client, readable);
  if (!direct && !readable.has('credits.remaining')) return { ...unread, ...due };
  const from = direct ? 'credits_private.accounts' : 'credits.remaining';
  const units = await client.query(
    `select unit, scale, pg_catalog.count(*) as accounts, pg_catalog.sum(balance)::text as balance
    from ${from} group by unit, scale order by unit collate "C", scale`,
  );
  const balances = units.rows.map(
    ({ unit, scale, accounts, balance }): Balance => ({
      unit,
      scale,
      accounts: BigInt(accounts),
      balance: BigInt(balance),
    }),
  );
  const accounts = balances.reduce((sum, each) => sum + each.accounts, 0n);
  if (!direct) return { accounts, entries: await countEntries(client, readable), balances, ...due };
  // Entries are numbered within their account without a gap: the last numbers add up to how many there are.
  const { rows } = await client.query(`
    select coalesce(pg_catalog.sum(last_entry_id), 0)::text as entries
    from credits_private.accounts`);
  return { accounts, entries: BigInt(rows[0].entries), balances, ...due };
}

/** How many accounts have something that is due and not booked, and since when: an auditor sees that, too. */
async function readDue(client: pg.ClientBase, readable: Set<string>) {
  // The view is new: a database that is behind has the table alone.
  const sources = { 'credits_private.accounts': 'due_at', 'credits.accounts': 'settled_until' };
  const source = Object.entries(sources).find(([name]) => readable.has(name));
  if (!source) return { due_accounts: null, due_since: null };
  const [name, column] = source;
  const { rows } = await client.query(`
    select pg_catalog.count(*) as due,
      pg_catalog.to_char(pg_catalog.min(${column}), 'YYYY-MM-DD HH24:MI:SS') as since
    from ${name} where ${column} <= pg_catalog.clock_timestamp()`);
  const [{ due, since }] = rows;
  return { due_accounts: BigInt(due), due_since: since === null ? null : `${since} UTC` };
}

async function countEntries(client: pg.ClientBase, readable: Set<string>) {
  if (!readable.has('credits.entries')) return null;
  const { rows } = await client.query('select pg_catalog.count(*) as entries from credits.entries');
  return BigInt(rows[0].entries);
}
