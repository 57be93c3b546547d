import { grouped, signed } from '../../shell/format.ts';
import { causeNames } from './causes.ts';
import { escapeHtml } from './html-text.ts';
import { duplicateNote, quotaLabel, quotas, surfaceLabel, withoutNote } from './text.ts';
import type { CauseTotal, SurfaceTotal } from './totals.ts';

const table = (head: string[], rows: string[][], texts: number) => {
  const cells = (row: string[], tag: string) =>
    row.map((cell, i) => `<${tag}${i < texts ? '' : ' class="n"'}>${cell}</${tag}>`).join('');
  return `<div class="wide"><table>
<thead><tr>${cells(head, 'th')}</tr></thead>
<tbody>
${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')}
</tbody>
</table></div>`;
};

export function surfaceTable(surfaces: SurfaceTotal[]): string {
  const misses = ({ over, under, accounts }: SurfaceTotal) => [
    over === 0n ? '0' : `<b class="off">${grouped(over)}</b>`,
    under === 0n ? '0' : `<b class="off">${grouped(under)}</b>`,
    grouped(accounts),
  ];
  const rows = surfaces.map((total) => [
    escapeHtml(surfaceLabel(total.surface)),
    grouped(total.says),
    grouped(total.should),
    ...misses(total),
  ]);
  for (const quota of quotas(surfaces))
    rows.push([escapeHtml(quotaLabel(quota.surface)), '', '', ...misses(quota)]);
  const head = ['', 'says', 'transactions', 'over', 'under', 'accounts'];
  return [table(head, rows, 1), ...notes(surfaces.flatMap(withoutNote))].join('\n');
}

export function causeTable(causes: CauseTotal[]): string {
  const rows = causes.map((total) => [
    causeNames[total.cause],
    escapeHtml(surfaceLabel(total.surface)),
    total.rows === null ? '' : grouped(total.rows),
    signed(total.effect),
    grouped(total.accounts),
  ]);
  const head = ['', 'of', 'transactions', 'differs by', 'accounts'];
  return [table(head, rows, 2), ...notes(causes.flatMap(duplicateNote))].join('\n');
}

const notes = (lines: string[]) => lines.map((line) => `<p class="note">${escapeHtml(line)}</p>`);
