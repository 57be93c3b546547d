import { grouped } from '../../shell/format.ts';
import type { Moment } from '../app/moment.ts';
import type { AccountDiagnosis } from './diagnosis.ts';
import { accountList } from './html-accounts.ts';
import { drawDrift } from './html-drift.ts';
import { style } from './html-style.ts';
import { causeTable, surfaceTable } from './html-tables.ts';
import { counted, escapeHtml } from './html-text.ts';
import { nothingToCompare, period } from './text.ts';
import type { Point } from './timeline.ts';
import { comparesNothing, type Totals } from './totals.ts';

/** One page that needs nothing else: no script, no other file, and its own policy forbids both. */
export function drawPage(
  moment: Moment,
  totals: Totals,
  top: AccountDiagnosis[],
  timeline: Point[],
): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Credits of ${escapeHtml(moment.database)}</title>
<style>${style}</style>
</head>
<body>
<main>
${header(moment, totals)}
${totals.surfaces.length > 0 ? section('Surfaces', surfaceTable(totals.surfaces)) : ''}
${totals.causes.length > 0 ? section('Likely causes', causeTable(totals.causes)) : ''}
${totals.disagreeing > 0n ? section('Drift over time', drawDrift(timeline)) : ''}
${top.length > 0 ? section('Accounts, the most drift first', accountList(top, totals)) : ''}
<footer>pg-credits diagnose. Reads only: one read-only transaction as of ${moment.as_of.toISOString()}.</footer>
</main>
</body>
</html>
`;
}

const section = (title: string, body: string) => `<section><h2>${title}</h2>\n${body}\n</section>`;

function header({ database }: Moment, totals: Totals): string {
  const { accounts, disagreeing, transactions, debits, debited, refunded } = totals;
  const verdict =
    disagreeing > 0n
      ? `${grouped(disagreeing)} of ${counted(accounts, 'account disagrees', 'accounts disagree')}`
      : comparesNothing(totals)
        ? nothingToCompare.replace('n', 'N')
        : 'All surfaces agree';
  const back = refunded === 0n ? '' : `, of which ${grouped(refunded)} refunded`;
  return `<header>
<p class="eyebrow">${escapeHtml(database)}</p>
<h1>${verdict}</h1>
<p>${counted(transactions, 'transaction', 'transactions')}${period(totals)}:
${counted(debits, 'debit', 'debits')} of ${grouped(debited)} credits in all${back}.</p>
</header>`;
}
