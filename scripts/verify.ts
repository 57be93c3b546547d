import { parseCommand, sharedHelp, UsageError, withClient } from './lib/connect.ts';
import { examine, type VerifyReport } from './lib/examine.ts';
import { formatTable, plural, toJson } from './lib/format.ts';
import { checkPrefix } from './lib/package.ts';

const shown = 50;

/** What a person reads. */
export function describe(report: VerifyReport): string[] {
  const notes = report.notes.map((note) => `note: ${note}`);
  const { accounts, entries, findings, version } = report;
  if (report.ok) {
    const counts = [
      accounts === null ? [] : plural(accounts, 'account'),
      entries === null ? [] : plural(entries, 'entry', 'entries'),
    ].flat();
    return [
      ...notes,
      `all promises hold: ${[...counts, `schema as pg-credits ${version}`].join(', ')}`,
    ];
  }
  const rows = findings
    .slice(0, shown)
    .map((f) => [f.check, f.account_id ?? '-', f.subject, f.expected, f.actual].map(short));
  const more = findings.length - shown;
  return [
    ...notes,
    ...formatTable(['check', 'account', 'subject', 'expected', 'actual'], rows),
    ...(more > 0 ? [`… and ${more} more: --json prints all`] : []),
    `${findings.length} ${findings.length === 1 ? 'finding' : 'findings'} in database ${report.database}: not all promises hold`,
  ];
}

const short = (cell: string) => (cell.length > 100 ? `${cell.slice(0, 99)}…` : cell);

export const help = `pg-credits verify: does the database keep every promise? reads only, also under load

Compares the schema with this package's, reads credits.discrepancies, and checks that triggers are enabled and that
PUBLIC may do nothing. Needs a member of credits_auditor, the owner or a superuser.
Exit status: 0 all holds, 1 something does not or could not be checked, 2 wrong usage.

  --role-prefix PREFIX  of the roles, where the schemas' owner does not tell it
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseCommand(args, { 'role-prefix': { type: 'string' } });
  const rolePrefix = values['role-prefix'];
  checkUsage(rolePrefix);
  const report = await withClient(values, (client) => examine(client, { rolePrefix }));
  console.log(values.json ? toJson(report) : describe(report).join('\n'));
  return report.ok ? 0 : 1;
}

function checkUsage(rolePrefix = '') {
  try {
    checkPrefix(rolePrefix);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
