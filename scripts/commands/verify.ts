import { parseCommand, prefixFrom, sharedHelp, withClient } from '../postgres/connect.ts';
import { formatTable, plural, toJson } from '../shell/format.ts';
import { examine, type VerifyReport } from '../verify/examine.ts';

const shown = 50;

/** What a person reads. */
export function describe(report: VerifyReport): string[] {
  const notes = report.notes.map((note) => `note: ${note}`);
  const { accounts, entries, findings, not_checked, version } = report;
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
    .map((f) => [f.check, f.account_id ?? '-', f.subject, f.expected, f.actual]);
  const more = findings.length - shown;
  const table = rows.length === 0 ? [] : formatTable(headings, rows);
  const unread = not_checked.map(({ subject, why }) => `not checked: ${subject}: ${why}`);
  return [
    ...notes,
    ...table,
    ...(more > 0 ? [`… and ${more} more: --json prints all`] : []),
    ...unread,
    conclusion(report),
  ];
}

const headings = ['check', 'account', 'subject', 'expected', 'actual'];

function conclusion({ database, findings, not_checked }: VerifyReport): string {
  if (findings.length === 0)
    return `nothing was found in database ${database}, but not everything could be checked`;
  const unread = not_checked.length > 0 ? ', and not everything could be checked' : '';
  return `${plural(BigInt(findings.length), 'finding')} in database ${database}: not all promises hold${unread}`;
}

export const help = `pg-credits verify: does the database keep every promise? reads only, also under load

Compares the schema with this package's, reads credits.discrepancies, and checks that triggers are enabled and that
PUBLIC may do nothing. Needs a member of credits_auditor, the owner or a superuser.
Runs nothing that it finds not to be ours: what such a view or function would have told is then not checked.
Exit status: 0 all holds, 1 something does not, 2 wrong usage, 3 something could not be checked.

  --role-prefix PREFIX  of the roles, where nothing in the database tells it
  --allow NAME          leave what is yours in the schemas: an index, a trigger, a function, … of that name, or the
                        privileges of a role; may be repeated
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseCommand(args, {
    'role-prefix': { type: 'string' },
    allow: { type: 'string', multiple: true },
  });
  const options = { rolePrefix: prefixFrom(values['role-prefix']), allow: values.allow };
  const report = await withClient(values, (client) => examine(client, options));
  console.log(values.json ? toJson(report) : describe(report).join('\n'));
  if (report.findings.length > 0) return 1;
  return report.ok ? 0 : 3;
}
