import { randomBytes } from 'node:crypto';
import { accessSync, constants, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Failure } from '../lib/explain.ts';
import { causeNames } from './causes.ts';
import { type AccountDiagnosis, differenceOf, type Surface } from './diagnosis.ts';
import {
  duplicateNote,
  period,
  quotaLabel,
  quotas,
  signed,
  surfaceLabel,
} from './diagnosis-text.ts';
import { drawDrift } from './html-drift.ts';
import { style } from './html-style.ts';
import { escapeHtml, grouped } from './html-text.ts';
import type { Moment } from './moment.ts';
import type { Point } from './timeline.ts';
import type { CauseTotal, SurfaceTotal, Totals } from './totals.ts';

const signedGroups = (value: bigint) => `${value > 0n ? '+' : ''}${grouped(value)}`;
const counted = (count: bigint, one: string, many: string) =>
  `${grouped(count)} ${count === 1n ? one : many}`;

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
${section('Surfaces', surfaceTable(totals.surfaces))}
${totals.causes.length > 0 ? section('Likely causes', causeTable(totals.causes)) : ''}
${totals.disagreeing > 0n ? section('Drift over time', drawDrift(timeline)) : ''}
${top.length > 0 ? section('Accounts, the most drift first', accountList(top, totals)) : ''}
<footer>pg-credits diagnose. Reads only: one read-only transaction as of ${moment.as_of.toISOString()}.</footer>
</main>
</body>
</html>
`;
}

/** Whole or not at all: a page that somebody looks at is never half of one. */
export function writePage(file: string, page: string): void {
  const beside = `${file}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    writeFileSync(beside, page, { flag: 'wx' });
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { force: true });
    throw unwritable(file, error);
  }
}

/** Before minutes of reading, which would be for nothing. */
export function checkWritable(file: string): void {
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch (error) {
    throw unwritable(file, error);
  }
}

const unwritable = (file: string, error: unknown) =>
  new Failure(`${file} can not be written: ${(error as Error).message}`);

const section = (title: string, body: string) => `<section><h2>${title}</h2>\n${body}\n</section>`;

function header({ database }: Moment, totals: Totals): string {
  const { accounts, disagreeing, transactions, debits, debited, refunded } = totals;
  const verdict =
    disagreeing === 0n
      ? 'All surfaces agree'
      : `${grouped(disagreeing)} of ${counted(accounts, 'account disagrees', 'accounts disagree')}`;
  const back = refunded === 0n ? '' : `, of which ${grouped(refunded)} refunded`;
  return `<header>
<p class="eyebrow">${escapeHtml(database)}</p>
<h1>${verdict}</h1>
<p>${counted(transactions, 'transaction', 'transactions')}${period(totals)}:
${counted(debits, 'debit', 'debits')} of ${grouped(debited)} credits in all${back}.</p>
</header>`;
}

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

function surfaceTable(surfaces: SurfaceTotal[]): string {
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
  return table(['', 'says', 'transactions', 'over', 'under', 'accounts'], rows, 1);
}

function causeTable(causes: CauseTotal[]): string {
  const rows = causes.map((total) => [
    causeNames[total.cause],
    escapeHtml(surfaceLabel(total.surface)),
    total.rows === null ? '' : grouped(total.rows),
    signedGroups(total.effect),
    grouped(total.accounts),
  ]);
  const notes = causes
    .flatMap(duplicateNote)
    .map((note) => `<p class="note">${escapeHtml(note)}</p>`);
  return [table(['', 'of', 'transactions', 'differs by', 'accounts'], rows, 2), ...notes].join(
    '\n',
  );
}

function accountList(top: AccountDiagnosis[], { disagreeing }: Totals): string {
  const more = disagreeing - BigInt(top.length);
  const rest = more > 0n ? `\n<p class="note">and ${counted(more, 'more', 'more')}</p>` : '';
  return `<p class="note"><span class="key says"></span> what it says
<span class="key should"></span> what the transactions come to</p>
<ul class="accounts">
${top.map(drawAccount).join('\n')}
</ul>${rest}`;
}

function drawAccount({ account_id, drift, surfaces, causes }: AccountDiagnosis): string {
  const reasons = causes.map(
    ({ cause, surface, effect }) =>
      `<li>${causeNames[cause]} <small>${escapeHtml(surfaceLabel(surface))} ${escapeHtml(signed(effect))}</small></li>`,
  );
  return `<li><h3><bdi>${escapeHtml(account_id)}</bdi> <small>${grouped(drift)} off</small></h3>
<dl>
${surfaces.map(drawBars).join('\n')}
</dl>
<ul class="reasons">${reasons.join('')}</ul></li>`;
}

/** Both from zero, on the scale of the greater: what sticks out is the drift. */
function drawBars(surface: Surface): string {
  const { says, should } = surface;
  const label = escapeHtml(surfaceLabel(surface.surface));
  if (says === null) return `<dt>${label}</dt><dd><span class="figure">none</span></dd>`;
  const [a, b] = [Number(says), Number(should)];
  const [low, high] = [Math.min(0, a, b), Math.max(0, a, b)];
  const percent = (value: number) => ((value * 100) / (high - low || 1)).toFixed(2);
  const bar = (value: number, name: string) =>
    `<i class="${name}" style="left:${percent(Math.min(0, value) - low)}%;width:${percent(Math.abs(value))}%"></i>`;
  const isOff = differenceOf(surface) !== 0n;
  const figure = isOff
    ? `<b class="off">${grouped(says)}</b> for ${grouped(should)}`
    : grouped(says);
  return `<dt>${label}</dt><dd><span class="bars">${bar(b, 'should')}${bar(a, isOff ? 'says differs' : 'says')}</span><span class="figure">${figure}</span></dd>`;
}
