import { alignRows, formatAmount, grouped, plural } from '../shell/format.ts';
import type { StatusReport } from './status.ts';

const hidden = 'not visible to this user';

/** What a person reads. */
export function describe(report: StatusReport): string[] {
  const rows = [
    ['database', `${report.database} (Postgres ${report.server})`],
    ['pg-credits', describeVersion(report)],
    ['owner', report.owner],
    ['schema', describeFiles(report)],
    ['accounts', count(report.accounts)],
    ['entries', count(report.entries)],
    ['due', describeDue(report)],
  ];
  for (const { unit, scale, accounts, balance } of report.balances ?? [])
    rows.push([
      'balance',
      `${formatAmount(balance, scale, unit)} in ${plural(accounts, 'account')}`,
    ]);
  rows.push(['discrepancies', 'not looked for: pg-credits verify does that']);
  return alignRows(rows);
}

const count = (rows: bigint | null) => (rows === null ? hidden : grouped(rows));

function describeVersion({ deployed_version: deployed, package_version: ours }: StatusReport) {
  if (deployed === null) return `deployed: ${hidden}; this package: ${ours}`;
  return deployed === ours ? ours : `deployed: ${deployed}; this package: ${ours}`;
}

function describeFiles(report: StatusReport): string {
  const { pending_migrations, unknown_migrations, differing_files } = report;
  const { differing_objects, foreign_objects, missing_roles } = report;
  if (unknown_migrations?.length)
    return `ahead of this package (migration ${unknown_migrations.at(-1)}): use a newer pg-credits`;
  const migration = differing_files?.find((path) => path.startsWith('migrations/'));
  if (migration)
    return `${migration} is not what was applied: which package was this deployed from?`;
  if (foreign_objects.length > 0)
    return `not as pg-credits made it: ${some(foreign_objects)}; pg-credits verify says more`;
  const differing = [...(differing_files ?? []), ...differing_objects];
  const parts = [
    ...(pending_migrations?.length ? [`pending: ${some(pending_migrations)}`] : []),
    ...(differing.length > 0 ? [`not as in this package: ${some(differing)}`] : []),
  ];
  const roles =
    missing_roles.length === 0
      ? ''
      : `; missing roles: ${missing_roles.join(', ')}, pg-credits deploy --dry-run says how to create them`;
  if (parts.length > 0) return `${parts.join('; ')}; run pg-credits deploy${roles}`;
  return `${differing_files === null ? `as in this package; what was applied is ${hidden}` : 'up to date'}${roles}`;
}

const some = (names: string[]) =>
  names.length <= 3
    ? names.join(', ')
    : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;

function describeDue({ due_accounts: due, due_since: since }: StatusReport): string {
  if (due === null) return hidden;
  if (due === 0n) return 'nothing: all accounts are settled';
  return `${plural(due, 'account')}, the longest since ${since}; their next call settles them, or pg-credits settle`;
}
