import type pg from 'pg';
import { migrationName, type Package, readPackage, type SqlFile } from '../package.ts';
import type { Live } from '../postgres/live.ts';
import { missingOf, roleNames } from '../postgres/roles.ts';
import { printable } from '../shell/format.ts';
import { asMap, type Difference, differ, isNamed } from '../snapshot/differences.ts';
import {
  type Fact,
  ofMigrations,
  readFacts,
  relationOf,
  stateAfter,
} from '../snapshot/snapshot.ts';
import { type Applied, bookkeepingTables, readApplied } from './bookkeeping.ts';

/** How a database compares with a package, according to the catalogues and then the bookkeeping. */
export interface Survey {
  facts: Fact[];
  /** Undefined where the user may not read the bookkeeping, or where it is not ours. */
  applied: Applied | undefined;
  /** Migrations whose tables exist but that are not recorded as applied: a schema was restored. */
  adopted: SqlFile[];
  /** How many migrations produced the present tables. */
  migrations: number;
  /** From the package's snapshot. While migrations are pending: of tables and types only, from what these expect. */
  differences: Difference[];
  /** About objects that --allow names, and about foreign objects that do no harm. */
  notes: string[];
}

export interface Seen {
  client: pg.ClientBase;
  pkg: Package;
  prefix: string;
  /** Names of foreign objects that may stay, and of foreign roles that may have privileges. */
  allow: string[];
  /** Roles that do not exist, so their privileges can't be compared. */
  missing: string[];
}

/**
 * Runs nothing that is in the schemas: a less privileged user may have created them, or planted a trigger, a default
 * or a policy there. Reads the bookkeeping only after the catalogues have shown it to be two plain tables.
 */
export async function survey(seen: Seen, mayRead = true): Promise<Survey> {
  const { client, pkg, prefix } = seen;
  const facts = await readFacts(client, prefix);
  const byKey = asMap(facts);
  const applied = mayRead && isOurBookkeeping(pkg, byKey) ? await readApplied(client) : undefined;
  const adopted = applied?.migrations.length === 0 ? findMigrations(pkg, byKey) : [];
  const migrations = applied ? applied.migrations.length + adopted.length : pkg.migrations.length;
  const differences = findDifferences(seen, byKey, migrations);
  const own = differences.filter(({ cure }) => cure === 'note');
  const notes = [
    ...notesOfAllowed(seen, byKey),
    ...own.map(({ key }) => `${key} is not ours, but does no harm`),
  ];
  return { facts, applied, adopted, migrations, differences, notes };
}

/** Compares everything once all migrations are applied; until then only tables and types, since sql/ will be replaced. */
export function findDifferences(
  seen: Seen,
  facts: Map<string, string>,
  count: number,
): Difference[] {
  const { pkg, allow } = seen;
  if (!pkg.snapshot) return [];
  if (count < pkg.migrations.length) return compareTables(pkg, facts, count, allow);
  return differ(...withoutMissing(seen, facts), allow);
}

function compareTables(
  pkg: Package,
  facts: Map<string, string>,
  count: number,
  allow: string[] = [],
) {
  if (!pkg.snapshot) return [];
  const expected = stateAfter(pkg.snapshot, pkg.migrations.map(migrationName), count);
  return differ(expected, ofMigrations(facts), allow);
}

/** Leaves out the privileges of missing roles: without its roles, deploy skips sql/roles.sql as a whole. */
function withoutMissing({ pkg, missing }: Seen, facts: Map<string, string>) {
  const expected = pkg.snapshot?.facts ?? new Map<string, string>();
  const kinds = missing.map((role) => role.replace(/^.*(?=credits_)/, ''));
  const concerns = (key: string) => kinds.some((kind) => key.startsWith(`privilege ${kind} on `));
  const kept = (all: Map<string, string>) => new Map([...all].filter(([key]) => !concerns(key)));
  return [kept(expected), kept(facts)] as const;
}

function isOurBookkeeping(pkg: Package, facts: Map<string, string>): boolean {
  if (!pkg.snapshot) return true;
  const ours = (all: Map<string, string>) =>
    new Map(
      [...all].filter(
        ([key]) =>
          !key.startsWith('privilege ') && bookkeepingTables.includes(relationOf(key) ?? ''),
      ),
    );
  return differ(ours(pkg.snapshot.facts), ours(facts)).every(({ cure }) => cure === 'note');
}

/** The migrations that lead to exactly the present tables and types. */
function findMigrations(pkg: Package, facts: Map<string, string>): SqlFile[] {
  if (!pkg.snapshot) return [];
  for (let count = pkg.migrations.length; count > 0; count -= 1) {
    const differences = compareTables(pkg, facts, count);
    if (differences.every(({ cure }) => cure === 'note')) return pkg.migrations.slice(0, count);
  }
  return [];
}

/** Warns about a name to allow that no object has: a typo would silently allow nothing. */
function notesOfAllowed({ pkg, allow }: Seen, facts: Map<string, string>): string[] {
  const keys = [...facts.keys(), ...(pkg.snapshot?.facts.keys() ?? [])];
  const unknown = allow.filter((name) => !keys.some((key) => isNamed(key, name)));
  const known = allow.filter((name) => !unknown.includes(name)).map(printable);
  return [
    ...(known.length > 0 ? [`allowed, whatever it is: ${known.join(', ')}`] : []),
    ...unknown.map((name) => `--allow ${printable(name)}: nothing in the schemas has that name`),
  ];
}

/** A survey by a command that only reads. */
export interface Found extends Survey {
  pkg: Package;
  prefix: string;
  missing: string[];
}

export async function surveyLive(
  client: pg.ClientBase,
  live: Live,
  allow: string[],
): Promise<Found> {
  const look = async (prefix: string): Promise<Found> => {
    const pkg = readPackage(undefined, prefix);
    const missing = (await missingOf(client, roleNames(prefix))).filter(
      (role) => !role.endsWith('owner'),
    );
    const mayRead = bookkeepingTables.every((name) => live.readable.has(name));
    const surveyed = await survey({ client, pkg, prefix, allow, missing }, mayRead);
    return { ...surveyed, pkg, prefix, missing };
  };
  const found = await look(live.rolePrefix);
  const recorded = found.applied?.rolePrefix;
  const isKnown = live.prefixIsTold || recorded === undefined || recorded === live.rolePrefix;
  return isKnown ? found : look(recorded);
}
