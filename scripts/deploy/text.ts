import type { DeployReport } from './report.ts';

/** What a person reads after a deploy or a dry run. */
export function describe(report: DeployReport): string[] {
  const would = report.dryRun ? 'would have ' : '';
  const lines = report.createdRoles.length
    ? [`${would}created roles: ${report.createdRoles.join(', ')}`]
    : [];
  if (report.ownershipTransferred) lines.push(`${would}given everything to ${report.owner}`);
  if (report.adoptedMigrations.length > 0)
    lines.push(
      `${would}recorded as applied, because their tables exist: ${report.adoptedMigrations.join(', ')}`,
    );
  for (const path of report.migrations) lines.push(`${would}applied ${path}`);
  lines.push(...describeFiles(report, would), ...describeOwner(report));
  return [...lines, ...report.notes.map((note) => `note: ${note}`), conclusion(report)];
}

function describeFiles({ files, dryRun }: DeployReport, would: string): string[] {
  if (dryRun || files.length <= 3) return files.map((path) => `${would}applied ${path}`);
  return [`applied ${files.length} files of sql/`];
}

function describeOwner(report: DeployReport): string[] {
  const lines: string[] = [];
  const callers = report.missingRoles.filter((role) => !role.endsWith('credits_owner'));
  if (callers.length > 0)
    lines.push(`missing roles: ${callers.join(', ')}: sql/roles.sql was skipped, as it needs them`);
  if (report.ownerIsDeployer)
    lines.push(
      `owner: ${report.owner}, the deploying user, because it cannot act as credits_owner`,
    );
  if (report.ownerIsSuperuser)
    lines.push(`warning: ${report.owner} is a superuser, so every function runs as one`);
  if (report.administratorStatements.length > 0)
    lines.push(
      'an administrator should run these statements, then deploy again:',
      ...report.administratorStatements.map((statement) => `  ${statement}`),
    );
  return lines;
}

function conclusion(report: DeployReport): string {
  const what = `pg-credits ${report.version}`;
  if (report.upToDate) return `nothing to do: ${what} is up to date in database ${report.database}`;
  if (report.dryRun) return `dry run: nothing was changed in database ${report.database}`;
  return `deployed ${what} to database ${report.database} as ${report.owner}`;
}
