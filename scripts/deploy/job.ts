import type pg from 'pg';
import type { Package } from '../package.ts';
import type { Ground, Roles } from '../postgres/roles.ts';
import * as schemas from '../postgres/schemas.ts';
import { Failure } from '../shell/explain.ts';
import type { Log } from '../shell/terminal.ts';
import { type Ours, requireOurs } from './ours.ts';
import { type Planned, planSteps } from './steps.ts';
import type { Seen, Survey } from './survey.ts';

export interface Job {
  client: pg.ClientBase;
  pkg: Package;
  ground: Ground;
  prefix: string;
  /** The user asked for this prefix; it is not just the default. */
  prefixGiven: boolean;
  allow: string[];
  reapply: boolean;
  lockTimeout: number;
  /** Milliseconds to wait for another deploy. */
  patience: number;
  log: Log;
}

export const seenBy = ({ client, pkg, prefix, allow }: Job, { missing }: Roles): Seen => ({
  client,
  pkg,
  prefix,
  allow,
  missing,
});

export interface Prepared {
  roles: Roles;
  /** Undefined for an empty database. */
  surveyed: Ours | undefined;
  planned: Planned;
  /** Whether the user may create the schemas that are to be created. */
  mayCreate: boolean;
}

/** Plans a deploy or a dry run. The two differ only in how they `look` at existing schemas. */
export async function prepare(
  job: Job,
  roles: Roles,
  look: (found: schemas.Schemas) => Promise<Survey>,
): Promise<Prepared> {
  const found = await schemas.readSchemas(job.client);
  schemas.checkSamePrefix(found, job.prefix);
  const isThere = found.owners.has('credits_private');
  const surveyed = isThere ? requireOurs(await look(found)) : undefined;
  checkRecordedPrefix(job, found, surveyed?.applied.rolePrefix);
  const planned = await planSteps({ ...job, roles, found, surveyed });
  const mayCreate = planned.created.length === 0 || job.ground.mayCreateSchemas;
  return { roles, surveyed, planned, mayCreate };
}

/** After a restore without owners and privileges, only the bookkeeping knows the prefix. */
function checkRecordedPrefix(job: Job, found: schemas.Schemas, recorded: string | undefined) {
  if (job.prefixGiven || recorded === undefined || recorded === job.prefix) return;
  if (schemas.prefixFound(found) !== undefined) return;
  throw new Failure(
    `this database was deployed with --role-prefix ${recorded}: say so again, or --role-prefix '' for roles without one`,
  );
}
