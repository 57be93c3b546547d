import type pg from 'pg';
import type { Log } from '../lib/connect.ts';
import { asMap } from '../lib/differences.ts';
import { Failure } from '../lib/explain.ts';
import { plainly, settings as readSettings } from '../lib/live.ts';
import type { Package } from '../lib/package.ts';
import { AccountsLock, commit } from '../lib/retry.ts';
import {
  become,
  canBecome,
  type Ground,
  ident,
  ownerNotes,
  planRoles,
  type Roles,
  roleNames,
} from '../lib/roles.ts';
import * as schemas from '../lib/schemas.ts';
import { runFile } from '../lib/script.ts';
import { readFacts } from '../lib/snapshot.ts';
import { migrate } from './migrate.ts';
import { readGrantees } from './privileges.ts';
import type { DeployReport } from './report.ts';
import { scriptOf } from './sql.ts';
import { type Planned, planSteps, type Step } from './steps.ts';
import { compare, refuseForeign, type Seen, type Survey, survey } from './survey.ts';
import { waitForTurn } from './turns.ts';

export interface Job {
  client: pg.ClientBase;
  pkg: Package;
  ground: Ground;
  prefix: string;
  /** It was asked for, not only the default. */
  prefixGiven: boolean;
  allow: string[];
  reapply: boolean;
  lockTimeout: number;
  /** Milliseconds to wait for another deploy. */
  patience: number;
  log: Log;
}

interface Progress {
  roles: Roles;
  surveyed: Survey | undefined;
  planned: Planned;
  notes: string[];
}

/** The whole deploy, in one transaction. */
export async function attempt(job: Job, attempts: number): Promise<DeployReport> {
  const { client, ground } = job;
  await client.query(begin);
  await waitForTurn(client, 'deploy', job.patience, job.log);
  const roles = await planRoles(client, ground, job.prefix);
  for (const statement of roles.statements) await client.query(statement);
  const found = await schemas.readSchemas(client);
  schemas.checkSamePrefix(found, job.prefix);
  const surveyed = await surveyHeld(job, roles, found);
  checkRecordedPrefix(job, found, surveyed);
  refuseForeign(surveyed?.differences ?? []);
  const planned = await planSteps({ ...job, roles, found, surveyed });
  if (planned.created.length > 0 && !ground.mayCreateSchemas)
    throw schemas.mayNotCreate(ground, roles);
  const lock = new AccountsLock(client, job.lockTimeout, ground.deadlockTimeout, attempts);
  const seen = seenBy(job, roles);
  const notes: string[] = [];
  for (const step of planned.steps) await take(step, { seen, lock, surveyed, notes });
  if (!planned.upToDate) await checkResult(seen);
  const report = await reportOf(job, { roles, surveyed, planned, notes }, attempts);
  // What is up to date is left as it is, down to the locks that were taken to look.
  if (planned.writes) await commit(client);
  else await client.query('rollback');
  return report;
}

// Nothing of this outlives the transaction: behind a pooler, the session is somebody else's next.
export const begin = `begin isolation level read committed, read write;
${plainly}; set local check_function_bodies = on;
set local lock_timeout = 0; set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
select pg_catalog.set_config(name, '0', true) from pg_catalog.pg_settings
where name operator(pg_catalog.=) 'transaction_timeout'`; // since Postgres 17

const seenBy = ({ client, pkg, prefix, allow }: Job, { missing }: Roles): Seen => ({
  client,
  pkg,
  prefix,
  allow,
  missing,
});

/** Surveys schemas that nobody can rename meanwhile, and bookkeeping that nobody can turn into something else. */
async function surveyHeld(job: Job, roles: Roles, found: schemas.Schemas) {
  const { client, ground } = job;
  if (!found.owners.has('credits_private')) return undefined;
  const owners = [...found.owners.values()];
  const isOwner = ground.superuser || owners.every((owner) => owner === ground.user);
  if (!isOwner) await become(client, await schemas.actingOwner(client, ground, roles, owners));
  await client.query(`set local lock_timeout = '${job.lockTimeout}ms'`);
  // A grant that is there already: all that it does is to lock the schema's own row.
  for (const [name, owner] of found.owners)
    await client.query(`grant usage on schema ${ident(name)} to ${ident(owner)}`);
  await client.query(
    'lock table credits_private.migrations, credits_private.applied_files in share row exclusive mode',
  );
  const surveyed = await survey(seenBy(job, roles));
  await client.query('set local lock_timeout = 0');
  return surveyed;
}

interface Taking {
  seen: Seen;
  lock: AccountsLock;
  surveyed: Survey | undefined;
  notes: string[];
}

async function take(step: Step, { seen, lock, surveyed, notes }: Taking) {
  const { client, pkg } = seen;
  if (step.kind === 'lock') return lock.take();
  if (step.kind === 'file') return runFile(client, step.file, lock.prelude());
  if (step.kind === 'migrations')
    return migrate(client, pkg, (file) => runFile(client, file, lock.prelude()));
  if (step.kind === 'privileges') notes.push(...(await takenAway(seen)));
  await client.query(lock.prelude() + step.sql);
  if (step.kind !== 'triggers off') return;
  // From here on no table of ours can change: what was seen before the locks is looked at again.
  const count = surveyed?.applied.migrations.length ?? 0;
  refuseForeign(compare(seen, asMap(await readFacts(client, seen.prefix)), count));
}

async function takenAway({ client, prefix, allow }: Seen): Promise<string[]> {
  const others = await readGrantees(client, [...roleNames(prefix), ...allow]);
  others.delete('public');
  return [...others].map(
    ([role, objects]) =>
      `took from ${role} what it might do with ${objects} of our objects: only the roles of sql/roles.sql may; default privileges give such rights, --allow ${role} leaves them`,
  );
}

/** What a deploy leaves behind is what the package says, or nothing is left behind. */
async function checkResult(seen: Seen) {
  const { pkg, client, prefix } = seen;
  if (!pkg.snapshot) return;
  const facts = asMap(await readFacts(client, prefix));
  const differences = compare(seen, facts, pkg.migrations.length);
  const [first, ...more] = differences.filter(({ cure }) => cure !== 'note');
  if (!first) return;
  const others = more.length === 0 ? '' : ` and ${more.length} more`;
  throw new Failure(
    `all was applied, but ${first.key} is not as in this package${others}: it was rolled back, nothing was changed; ` +
      'drop what is not ours, or allow it by --allow NAME; pg-credits verify lists all',
  );
}

/** What a deploy would do, seen in a read-only transaction. */
export async function preview(job: Job): Promise<DeployReport> {
  const { client } = job;
  await client.query(`${readSettings}; set local lock_timeout = '${job.lockTimeout}ms'`);
  const roles = await planRoles(client, job.ground, job.prefix);
  const found = await schemas.readSchemas(client);
  schemas.checkSamePrefix(found, job.prefix);
  const surveyed = await look(seenBy(job, roles), job.ground, roles, found);
  checkRecordedPrefix(job, found, surveyed);
  refuseForeign(surveyed?.differences ?? []);
  const planned = await planSteps({ ...job, roles, found, surveyed });
  if (planned.created.length > 0 && !job.ground.mayCreateSchemas)
    roles.administratorStatements.push(schemas.createStatement(job.ground));
  const report = await reportOf(job, { roles, surveyed, planned, notes: [] }, 1);
  const sql = planned.upToDate ? '' : scriptOf(job, roles, planned);
  await client.query('rollback');
  return { ...report, dryRun: true, sql };
}

/** A survey within a transaction that reads only. */
export async function look(seen: Seen, ground: Ground, roles: Roles, found: schemas.Schemas) {
  const { client } = seen;
  if (!found.owners.has('credits_private')) return undefined;
  const owners = [...found.owners.values()];
  const reader = owners.find((owner) => owner !== roles.owner) ?? roles.owner;
  if (!ground.superuser && (await canBecome(client, ground, reader))) await become(client, reader);
  return survey(seen);
}

/** Where neither owner nor privileges tell it, as after a restore without them, the bookkeeping does. */
function checkRecordedPrefix(job: Job, found: schemas.Schemas, surveyed: Survey | undefined) {
  const recorded = surveyed?.applied.rolePrefix;
  if (job.prefixGiven || recorded === undefined || recorded === job.prefix) return;
  if (schemas.prefixFound(found) !== undefined) return;
  throw new Failure(
    `this database was deployed with --role-prefix ${recorded}: say so again, or --role-prefix '' for roles without one`,
  );
}

async function reportOf(
  { client, pkg, ground }: Job,
  { roles, surveyed, planned, notes }: Progress,
  attempts: number,
): Promise<DeployReport> {
  const { owner } = planned;
  const { rows } = await client.query(
    'select rolsuper from pg_catalog.pg_roles where rolname operator(pg_catalog.=) $1',
    [owner],
  );
  const own = surveyed?.differences.filter(({ cure }) => cure === 'note') ?? [];
  return {
    version: pkg.version,
    database: ground.database,
    migrations: planned.migrations.map((file) => file.path),
    adoptedMigrations: surveyed?.adopted.map((file) => file.path) ?? [],
    files: planned.files.map((file) => file.path),
    owner,
    ownerIsDeployer: owner === ground.user,
    ownerIsSuperuser: rows[0]?.rolsuper ?? false,
    ownershipTransferred: planned.transferred,
    createdRoles: roles.created,
    missingRoles: roles.missing,
    administratorStatements: roles.administratorStatements,
    notes: [
      ...notes,
      ...own.map(({ key }) => `${key} is not ours, and harms nobody`),
      ...(surveyed?.notes ?? []),
      ...(await ownerNotes(client, ground.version, owner, ground.user)),
    ],
    upToDate: planned.upToDate,
    dryRun: false,
    attempts,
  };
}
