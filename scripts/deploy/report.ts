import { ownerNotes } from '../postgres/roles.ts';
import type { Job, Prepared } from './job.ts';

export interface DeployReport {
  version: string;
  database: string;
  migrations: string[];
  /** Migrations whose tables a restored schema already had: the deploy recorded them as applied. */
  adoptedMigrations: string[];
  files: string[];
  owner: string;
  ownerIsDeployer: boolean;
  ownerIsSuperuser: boolean;
  ownershipTransferred: boolean;
  createdRoles: string[];
  missingRoles: string[];
  administratorStatements: string[];
  notes: string[];
  upToDate: boolean;
  dryRun: boolean;
  attempts: number;
  /** Only for a dry run: a script that does the same. */
  sql?: string;
}

export async function reportOf(
  { client, pkg, ground }: Job,
  { roles, surveyed, planned }: Prepared,
  { notes = [], attempts = 1 }: { notes?: string[]; attempts?: number } = {},
): Promise<DeployReport> {
  const { owner } = planned;
  const { rows } = await client.query(
    'select rolsuper from pg_catalog.pg_roles where rolname operator(pg_catalog.=) $1',
    [owner],
  );
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
      ...(surveyed?.notes ?? []),
      ...(await ownerNotes(client, ground.version, owner, ground.user)),
    ],
    upToDate: planned.upToDate,
    dryRun: false,
    attempts,
  };
}
