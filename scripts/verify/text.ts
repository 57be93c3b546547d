import { formatTable, plural } from '../shell/format.ts';
import type { VerifyReport } from './examine.ts';

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
