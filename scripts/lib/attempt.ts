import type pg from 'pg';
import type { Log } from './connect.ts';
import { migrate } from './migrate.ts';
import type { Package } from './package.ts';
import * as bookkeeping from './plan.ts';
import type { DeployReport } from './report.ts';
import { AccountsLock, commit } from './retry.ts';
import { become, canBecome, ensureRoles, type Ground, type Roles } from './roles.ts';
import * as schemas from './schemas.ts';
import { runFile } from './script.ts';

export interface Job {
  client: pg.ClientBase;
  pkg: Package;
  ground: Ground;
  prefix: string;
  reapply: boolean;
  dryRun: boolean;
  lockTimeout: number;
  log: Log;
}

// Any number does, as long as every release uses the same one.
const deployLock = '7238316498215403';

/** The whole deploy, in one transaction. */
export async function attempt(job: Job, attempts: number): Promise<DeployReport> {
  const { client, ground, pkg } = job;
  await begin(job);
  const roles = await ensureRoles(client, ground, job.prefix, true);
  const found = await schemas.readSchemas(client);
  schemas.checkSamePrefix(found, job.prefix);
  const lock = new AccountsLock(client, job.lockTimeout, ground.deadlockTimeout, attempts);
  const lockAccounts = async () => {
    if (found.inUse) await lock.take();
  };
  const made = await schemas.takeOwnership(client, ground, roles, found, lockAccounts);
  const isNew = made.created.includes('credits_private');
  if (isNew) await bookkeeping.createBookkeeping(client);
  const applied = isNew ? bookkeeping.nothingApplied : await bookkeeping.readApplied(client);
  const everything = job.reapply || made.transferred || made.created.length > 0;
  const plan = bookkeeping.plan(pkg, applied, roles, everything);
  if (plan.migrations.length + plan.files.length > 0) await lockAccounts();
  if (isNew || plan.migrations.length > 0)
    await migrate(client, pkg, (file) => runFile(client, file, lock.prelude()));
  if (isNew) await bookkeeping.describeMigrations(client);
  for (const file of plan.files) await runFile(client, file, lock.prelude());
  await bookkeeping.record(client, pkg, applied, plan);
  const report = await reportOf(job, roles, plan, made, attempts);
  await commit(client);
  return report;
}

async function begin({ client, log }: Job) {
  // Nothing of this outlives the transaction: behind a pooler, the session is somebody else's next.
  await client.query(
    `begin isolation level read committed, read write;
    set local search_path = ''; set local check_function_bodies = on;
    set local lock_timeout = 0; set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0`,
  );
  const { rows } = await client.query(
    `select pg_catalog.pg_try_advisory_xact_lock(${deployLock}) as free`,
  );
  if (rows[0].free) return;
  log('another deploy is running: waiting for it');
  await client.query(`select pg_catalog.pg_advisory_xact_lock(${deployLock})`);
}

/** What a deploy would do, seen in a read-only transaction. */
export async function preview(job: Job): Promise<DeployReport> {
  const { client, ground, pkg } = job;
  await client.query(
    `begin isolation level repeatable read, read only; set local search_path = ''`,
  );
  const roles = await ensureRoles(client, ground, job.prefix, false);
  const found = await schemas.readSchemas(client);
  schemas.checkSamePrefix(found, job.prefix);
  const others = [...found.owners.values()].filter((owner) => owner !== roles.owner);
  const owner = await schemas.actingOwner(client, ground, roles, others);
  const created = ['credits', 'credits_private'].filter((name) => !found.owners.has(name));
  if (created.length > 0 && !ground.mayCreateSchemas)
    roles.administratorStatements.push(schemas.createStatement(ground));
  const made = { created, transferred: others.length > 0 && owner === roles.owner };
  Object.assign(roles, { owner, ownerIsDeployer: owner === ground.user });
  const reader = others[0] ?? owner;
  const isNew = created.includes('credits_private');
  if (!isNew && (await canBecome(client, ground, reader))) await become(client, reader);
  const applied = isNew ? bookkeeping.nothingApplied : await bookkeeping.readApplied(client);
  const everything = job.reapply || made.transferred || created.length > 0;
  const plan = bookkeeping.plan(pkg, applied, roles, everything);
  const report = await reportOf(job, roles, plan, made, 1);
  await client.query('rollback');
  return report;
}

async function reportOf(
  { client, pkg, ground, dryRun }: Job,
  roles: Roles,
  plan: bookkeeping.Plan,
  made: schemas.Grounding,
  attempts: number,
): Promise<DeployReport> {
  const owner = await client.query('select rolsuper from pg_catalog.pg_roles where rolname = $1', [
    roles.owner,
  ]);
  const changes = plan.migrations.length + plan.files.length + roles.created.length;
  return {
    version: pkg.version,
    database: ground.database,
    migrations: plan.migrations.map((file) => file.path),
    files: plan.files.map((file) => file.path),
    owner: roles.owner,
    ownerIsDeployer: roles.ownerIsDeployer,
    ownerIsSuperuser: owner.rows[0]?.rolsuper ?? false,
    ownershipTransferred: made.transferred,
    createdRoles: roles.created,
    missingRoles: roles.missing,
    administratorStatements: roles.administratorStatements,
    upToDate: changes === 0 && made.created.length === 0 && !made.transferred,
    dryRun,
    attempts,
  };
}
