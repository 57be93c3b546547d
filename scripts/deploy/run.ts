import { AccountsLock } from '../postgres/locks.ts';
import { commit } from '../postgres/retry.ts';
import { become, ident, planRoles, type Roles, roleNames } from '../postgres/roles.ts';
import { actingOwner, mayNotCreate, type Schemas } from '../postgres/schemas.ts';
import { runFile } from '../postgres/script.ts';
import { Failure } from '../shell/explain.ts';
import { asMap } from '../snapshot/differences.ts';
import { readFacts } from '../snapshot/snapshot.ts';
import { type Job, prepare, seenBy } from './job.ts';
import { migrate } from './migrate.ts';
import { refuseForeign } from './ours.ts';
import { readGrantees } from './privileges.ts';
import { type DeployReport, reportOf } from './report.ts';
import { beginning } from './script.ts';
import type { Step } from './steps.ts';
import { findDifferences, type Seen, survey } from './survey.ts';
import { waitForTurn } from './turns.ts';

/** The whole deploy, in one transaction. */
export async function attempt(job: Job, attempts: number): Promise<DeployReport> {
  const { client, ground } = job;
  await client.query(begin);
  await waitForTurn(client, 'deploy', job.patience, job.log);
  const roles = await planRoles(client, ground, job.prefix);
  for (const statement of roles.statements) await client.query(statement);
  const prepared = await prepare(job, roles, (found) => surveyHeld(job, roles, found));
  const { surveyed, planned } = prepared;
  if (!prepared.mayCreate) throw mayNotCreate(ground, roles);
  const lock = new AccountsLock(client, job.lockTimeout, ground.deadlockTimeout, attempts);
  const seen = seenBy(job, roles);
  const notes: string[] = [];
  for (const step of planned.steps) {
    if (step.kind === 'privileges') notes.push(...(await takenAway(seen)));
    await take(step, seen, lock);
    if (step.kind === 'triggers off') await lookAgain(seen, surveyed?.migrations ?? 0);
  }
  if (!planned.upToDate) await checkResult(seen);
  const report = await reportOf(job, prepared, { notes, attempts });
  // When everything is up to date, nothing stays behind, not even the locks of the survey.
  if (planned.writes) await commit(client);
  else await client.query('rollback');
  return report;
}

// These settings end with the transaction: behind a pooler, somebody else uses the session next.
const begin = `${beginning}
set local lock_timeout = 0; set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
select pg_catalog.set_config(name, '0', true) from pg_catalog.pg_settings
where name operator(pg_catalog.=) 'transaction_timeout'`; // since Postgres 17

/** Surveys the schemas under locks: nobody can rename a schema or replace the bookkeeping meanwhile. */
async function surveyHeld(job: Job, roles: Roles, found: Schemas) {
  const { client, ground } = job;
  const owners = [...found.owners.values()];
  const isOwner = ground.superuser || owners.every((owner) => owner === ground.user);
  if (!isOwner) await become(client, await actingOwner(client, ground, roles, owners));
  await client.query(`set local lock_timeout = '${job.lockTimeout}ms'`);
  // The owner has this privilege already: the grant only locks the schema's row in the catalogue.
  for (const [name, owner] of found.owners)
    await client.query(`grant usage on schema ${ident(name)} to ${ident(owner)}`);
  await client.query(
    'lock table credits_private.migrations, credits_private.applied_files in share row exclusive mode',
  );
  const surveyed = await survey(seenBy(job, roles));
  await client.query('set local lock_timeout = 0');
  return surveyed;
}

function take(step: Step, { client, pkg }: Seen, lock: AccountsLock): Promise<unknown> {
  switch (step.kind) {
    case 'lock':
      return lock.take(step.mode);
    case 'file':
      return runFile(client, step.file, lock.prelude());
    case 'migrations':
      return migrate(client, pkg, (file) => runFile(client, file, lock.prelude()));
    default:
      return client.query(lock.prelude() + step.sql);
  }
}

/** The locks keep our tables from changing from now on, so what was seen before them is checked again. */
async function lookAgain(seen: Seen, migrations: number) {
  refuseForeign(
    findDifferences(seen, asMap(await readFacts(seen.client, seen.prefix)), migrations),
  );
}

async function takenAway({ client, prefix, allow }: Seen): Promise<string[]> {
  const others = await readGrantees(client, [...roleNames(prefix), ...allow]);
  others.delete('public');
  return [...others].map(
    ([role, objects]) =>
      `revoked the privileges of ${role} on ${objects} of our objects: only the roles of sql/roles.sql may have any; default privileges give them, --allow ${role} leaves them`,
  );
}

/** Fails, and so rolls back, unless the schemas are now exactly as the package describes them. */
async function checkResult(seen: Seen) {
  const { pkg, client, prefix } = seen;
  if (!pkg.snapshot) return;
  const facts = asMap(await readFacts(client, prefix));
  const differences = findDifferences(seen, facts, pkg.migrations.length);
  const [first, ...more] = differences.filter(({ cure }) => cure !== 'note');
  if (!first) return;
  const others = more.length === 0 ? '' : ` and ${more.length} more`;
  throw new Failure(
    `everything was applied, but ${first.key} is not as in this package${others}: it was rolled back, nothing was changed; ` +
      'drop what is not ours, or allow it with --allow NAME; pg-credits verify lists everything',
  );
}
