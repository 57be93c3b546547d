import type pg from 'pg';
import { surveyLive } from '../deploy/survey.ts';
import { type Live, readOnly } from '../postgres/live.ts';
import { ownerNotes } from '../postgres/roles.ts';
import { runsWhenRead } from '../snapshot/differences.ts';
import {
  checkDefiners,
  checkFacts,
  describeDifferences,
  type Finding,
  type NotChecked,
} from './checks.ts';
import { type Checked, checkPromises, promisesOf } from './promises.ts';

export interface VerifyOptions {
  /** Detected where owner, privileges or the bookkeeping reveal it. */
  rolePrefix?: string | undefined;
  /** Names of foreign objects that may stay, and of foreign roles that may have privileges. */
  allow?: string[] | undefined;
  /** Hears of each promise before it is checked. */
  progress?: (line: string) => void;
}

export interface VerifyReport {
  /** Everything was checked, and nothing was found. */
  ok: boolean;
  version: string;
  database: string;
  /** null where they were not read. */
  accounts: bigint | null;
  entries: bigint | null;
  /** The promises that were checked, one by one. */
  checks: Checked[];
  findings: Finding[];
  not_checked: NotChecked[];
  /** What was left out, and what could be better. */
  notes: string[];
}

/** Every broken promise; empty when all is well. */
export async function verify(
  client: pg.ClientBase,
  options: VerifyOptions = {},
): Promise<Finding[]> {
  return (await examine(client, options)).findings;
}

/** Checks everything as of one moment, in a read-only transaction: callers at work raise no alarm and do not wait. */
export function examine(client: pg.ClientBase, options: VerifyOptions = {}): Promise<VerifyReport> {
  const look = async (live: Live): Promise<VerifyReport> => {
    const allow = options.allow ?? [];
    const found = await surveyLive(client, live, allow);
    const { pkg, applied, prefix, differences, missing } = found;
    const notes = [
      ...found.notes,
      ...(await ownerNotes(client, live.version, live.owner, live.user)),
    ];
    if (applied?.version !== undefined && applied.version !== pkg.version)
      notes.unshift(
        `the database has pg-credits ${applied.version}, this is ${pkg.version}: use the same version`,
      );
    if (missing.length > 0)
      notes.push(
        `not checked, because these roles do not exist: what ${missing.join(', ')} may do; pg-credits deploy says how to create them`,
      );
    const findings = checkFacts(found.facts, allow);
    findings.push(...describeDifferences(differences, findings, pkg.version));
    // A restored schema has its tables, but no record of its migrations: they count as pending too.
    const pending = applied ? pkg.migrations.slice(applied.migrations.length) : [];
    for (const { path } of pending) findings.push(pendingFinding(path));
    const definers = await checkDefiners(client);
    if (live.ownRoles) findings.push(...definers);
    else for (const { subject, actual } of definers) notes.push(`${subject} are ${actual}`);

    const foreign = differences.find(runsWhenRead);
    const not_checked: NotChecked[] = [];
    let counts: Counts = { accounts: null, entries: null };
    let checks: Checked[] = [];
    if (foreign || pending.length > 0)
      not_checked.push({
        subject: 'credits.discrepancies',
        why: foreign
          ? `${foreign.key} is not as in pg-credits ${pkg.version}, and nothing that is not ours is run: fix that first`
          : 'migrations are pending: run pg-credits deploy',
      });
    else {
      counts = await readCounts(client, live);
      const seen = { ...live, rolePrefix: prefix };
      const read = await checkPromises(client, seen, promisesOf(pkg), options.progress);
      checks = read.checks;
      findings.push(...read.findings);
      not_checked.push(...read.not_checked);
    }
    const ok = findings.length + not_checked.length === 0;
    return {
      ok,
      version: pkg.version,
      database: live.database,
      ...counts,
      checks,
      findings,
      not_checked,
      notes,
    };
  };
  return readOnly(client, look, options.rolePrefix);
}

const pendingFinding = (path: string): Finding => ({
  check: 'schema',
  account_id: null,
  subject: path,
  expected: 'applied',
  actual: 'pending: run pg-credits deploy',
});

interface Counts {
  accounts: bigint | null;
  entries: bigint | null;
}

async function readCounts(client: pg.ClientBase, { readable }: Live): Promise<Counts> {
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
