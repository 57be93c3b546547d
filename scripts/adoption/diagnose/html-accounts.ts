import { grouped, signed } from '../../shell/format.ts';
import { causeNames } from './causes.ts';
import { type AccountDiagnosis, differenceOf, type Surface } from './diagnosis.ts';
import { counted, escapeHtml } from './html-text.ts';
import { surfaceLabel } from './text.ts';
import type { Totals } from './totals.ts';

/** Each with its surfaces side by side, and why they differ. */
export function accountList(top: AccountDiagnosis[], { disagreeing }: Totals): string {
  const more = disagreeing - BigInt(top.length);
  const rest = more > 0n ? `\n<p class="note">and ${counted(more, 'more', 'more')}</p>` : '';
  return `<p class="note"><span class="legend"><span class="key says"></span> what it says</span>
<span class="legend"><span class="key should"></span> what the transactions come to</span></p>
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
