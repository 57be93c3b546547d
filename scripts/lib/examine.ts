import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import {
  checkDefiners,
  checkFacts,
  compareFacts,
  type Finding,
  readDiscrepancies,
} from './checks.ts';
import { Failure } from './explain.ts';
import { type Live, readOnly } from './live.ts';
import { packageVersion } from './package.ts';
import { parseSnapshot, readFacts } from './snapshot.ts';

export interface VerifyOptions {
  /** Found by itself where credits_owner owns the schemas. */
  rolePrefix?: string | undefined;
  /** The text to hold the schema against; the package's own by default. */
  snapshot?: string;
}

export interface VerifyReport {
  ok: boolean;
  version: string;
  database: string;
  /** null where the user may not read them. */
  accounts: bigint | null;
  entries: bigint | null;
  findings: Finding[];
  /** What was left out, and what is not as good as it could be. */
  notes: string[];
}

/** Everything that does not hold; empty when all is well. */
export async function verify(
  client: pg.ClientBase,
  options: VerifyOptions = {},
): Promise<Finding[]> {
  return (await examine(client, options)).findings;
}

/** All as of one moment, in a read-only transaction: callers at work raise no alarm, and wait for nothing. */
export function examine(client: pg.ClientBase, options: VerifyOptions = {}): Promise<VerifyReport> {
  const look = async (live: Live): Promise<VerifyReport> => {
    const version = packageVersion();
    const notes = await noteVersion(client, live, version);
    const expected = parseSnapshot(options.snapshot ?? readFileSync(snapshotFile(), 'utf8'));
    let facts = await readFacts(client, live.rolePrefix);
    const missing = await missingRoles(client, live, notes);
    if (missing.length > 0) {
      // Without its roles, deploy leaves sql/roles.sql out as a whole: also what it takes from PUBLIC of types.
      const concerns = (key: string) =>
        key.startsWith('privilege PUBLIC on type ') ||
        missing.some((role) => key.startsWith(`privilege ${role} on `));
      for (const key of expected.keys()) if (concerns(key)) expected.delete(key);
      facts = facts.filter(({ key }) => !concerns(key));
    }
    const findings = checkFacts(facts);
    findings.push(...compareFacts(expected, facts, findings, version));
    const definers = await checkDefiners(client);
    if (live.ownRoles) findings.push(...definers);
    else for (const { subject, actual } of definers) notes.push(`${subject} are ${actual}`);
    const counts = await readCounts(client, live);
    findings.push(...(await readDiscrepancies(client, live)));
    const ok = findings.length === 0;
    return { ok, version, database: live.database, ...counts, findings, notes };
  };
  return readOnly(client, look, options.rolePrefix);
}

// From scripts/lib it is found in test/; the build copies it to dist/.
function snapshotFile(): string {
  const places = ['../schema.snapshot', '../../test/schema.snapshot'];
  const files = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const file = files.find((each) => existsSync(each));
  if (!file) throw new Failure('the package is incomplete: it has no schema.snapshot');
  return file;
}

async function noteVersion(client: pg.ClientBase, live: Live, version: string): Promise<string[]> {
  if (!live.readable.has('credits_private.applied_files')) return [];
  const { rows } = await client.query(
    `select checksum as version from credits_private.applied_files where path = 'package'`,
  );
  const deployed = rows[0]?.version ?? 'an unknown version';
  if (deployed === version) return [];
  return [`the database has pg-credits ${deployed}, this is ${version}: use the same version`];
}

async function missingRoles(client: pg.ClientBase, live: Live, notes: string[]) {
  const kinds = ['credits_spender', 'credits_granter', 'credits_auditor'];
  const { rows } = await client.query(
    'select rolname from pg_catalog.pg_roles where rolname = any($1)',
    [kinds.map((kind) => live.rolePrefix + kind)],
  );
  const found = rows.map((row) => row.rolname);
  const missing = kinds.filter((kind) => !found.includes(live.rolePrefix + kind));
  if (missing.length > 0)
    notes.push(
      `not checked, because these roles do not exist: what ${missing.map((kind) => live.rolePrefix + kind).join(', ')} may do; pg-credits deploy says how to make them`,
    );
  return missing;
}

async function readCounts(client: pg.ClientBase, { readable }: Live) {
  const count = async (...names: string[]) => {
    const name = names.find((each) => readable.has(each));
    if (name === undefined) return null;
    const { rows } = await client.query(`select pg_catalog.count(*) as rows from ${name}`);
    return BigInt(rows[0].rows);
  };
  return {
    accounts: await count('credits_private.accounts', 'credits.remaining'),
    entries: await count('credits_private.entries', 'credits.entries'),
  };
}
