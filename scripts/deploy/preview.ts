import { settings } from '../postgres/live.ts';
import { become, canBecome, planRoles, type Roles } from '../postgres/roles.ts';
import { createStatement, type Schemas } from '../postgres/schemas.ts';
import { type Job, prepare, seenBy } from './job.ts';
import { type DeployReport, reportOf } from './report.ts';
import { scriptOf } from './script.ts';
import { survey } from './survey.ts';

/** Reports what a deploy would do, from a read-only transaction. */
export async function preview(job: Job): Promise<DeployReport> {
  const { client, ground } = job;
  await client.query(`${settings}; set local lock_timeout = '${job.lockTimeout}ms'`);
  const roles = await planRoles(client, ground, job.prefix);
  const prepared = await prepare(job, roles, (found) => surveyAsReader(job, roles, found));
  const { planned } = prepared;
  if (!prepared.mayCreate) roles.administratorStatements.push(createStatement(ground));
  const report = await reportOf(job, prepared);
  const sql = planned.upToDate ? '' : scriptOf(job, roles, planned);
  await client.query('rollback');
  return { ...report, dryRun: true, sql };
}

/** Only its owner may read the bookkeeping. */
async function surveyAsReader(job: Job, roles: Roles, found: Schemas) {
  const { client, ground } = job;
  const owners = [...found.owners.values()];
  const reader = owners.find((owner) => owner !== roles.owner) ?? roles.owner;
  if (!ground.superuser && (await canBecome(client, ground, reader))) await become(client, reader);
  return survey(seenBy(job, roles));
}
