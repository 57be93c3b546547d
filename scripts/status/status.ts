import type pg from 'pg';
import { planFiles } from '../deploy/plan.ts';
import { surveyLive } from '../deploy/survey.ts';
import { migrationName } from '../package.ts';
import { type Live, readOnly } from '../postgres/live.ts';
import { runsWhenRead } from '../snapshot/differences.ts';

interface Balance {
  unit: string;
  scale: number;
  accounts: bigint;
  balance: bigint;
}

/** null stands for a figure that the connected user may not read. */
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
  /** Files that differ from what was applied, or that only one side has. */
  differing_files: string[] | null;
  /** Objects that deploy would correct, and foreign objects that it refuses to touch. */
  differing_objects: string[];
  foreign_objects: string[];
  missing_roles: string[];
  accounts: bigint | null;
  entries: bigint | null;
  balances: Balance[] | null;
  due_accounts: bigint | null;
  due_since: string | null;
}

export interface StatusOptions {
  rolePrefix?: string | undefined;
  allow?: string[] | undefined;
}

export function readStatus(client: pg.ClientBase, options: StatusOptions = {}) {
  const look = async (live: Live): Promise<StatusReport> => {
    const { database, server, owner } = live;
    const { isOurs, ...deployed } = await compareDeployed(client, live, options.allow ?? []);
    // Reading a foreign table or view could run foreign code, so nothing is read then.
    const figures = await readFigures(client, isOurs ? live : { ...live, readable: new Set() });
    return { database, server, owner, ...deployed, ...figures };
  };
  return readOnly(client, look, options.rolePrefix);
}

/** Makes the survey that a deploy makes, and sums it up. */
async function compareDeployed(client: pg.ClientBase, live: Live, allow: string[]) {
  const { pkg, applied, differences, missing } = await surveyLive(client, live, allow);
  const cured = (cure: string) =>
    differences.filter((each) => each.cure === cure).map(({ key }) => key);
  const seen = {
    isOurs: !differences.some(runsWhenRead),
    package_version: pkg.version,
    differing_objects: cured('deploy'),
    foreign_objects: cured('foreign'),
    missing_roles: missing,
  };
  const unread = { pending_migrations: null, unknown_migrations: null, differing_files: null };
  if (!applied) return { ...seen, deployed_version: null, ...unread };
  const names = pkg.migrations.map(migrationName);
  const pending = pkg.migrations.filter(
    (file) => !applied.migrations.includes(migrationName(file)),
  );
  const changed = pkg.migrations.filter(({ path, checksum }) => {
    const recorded = applied.checksums.get(path);
    return recorded !== undefined && recorded !== checksum;
  });
  const roles = { created: [], missing };
  const history = { ...applied, migrations: names.slice(0, names.length - pending.length) };
  const planned = changed.length > 0 ? undefined : planFiles(pkg, history, roles, false);
  const files = [...changed, ...(planned?.files ?? [])].map(({ path }) => path);
  return {
    ...seen,
    deployed_version: applied.version ?? null,
    pending_migrations: pending.map(({ path }) => path),
    unknown_migrations: applied.migrations.filter((name) => !names.includes(name)),
    differing_files: [...files, ...(planned?.forgotten ?? [])].sort(),
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
  // Entries are numbered within their account without gaps, so the last numbers add up to the number of entries.
  const { rows } = await client.query(`
    select coalesce(pg_catalog.sum(last_entry_id), 0)::text as entries
    from credits_private.accounts`);
  return { accounts, entries: BigInt(rows[0].entries), balances, ...due };
}

/** How many accounts have something due that is not booked, and since when. An auditor may read that too. */
async function readDue(client: pg.ClientBase, readable: Set<string>) {
  // The view is recent: a database that is behind has only the table.
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
