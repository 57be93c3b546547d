import { grouped } from '../../shell/format.ts';

import type { Point } from './timeline.ts';

const [width, height] = [1000, 240];

/** Sums from the beginning, as lines; only what is there of the two. */
export function drawDrift(points: Point[]): string {
  const [first, last] = [points[0], points.at(-1)];
  const series = [
    { name: 'gap', says: 'balance beside its transactions', of: (point: Point) => point.gaps },
    { name: 'second', says: 'debits without an API key', of: (point: Point) => point.keyless },
  ].filter(({ of }) => points.some((point) => of(point) !== 0));
  if (!first || !last || series.length === 0)
    return '<p class="note">Nothing of it has a date: only the counters are off.</p>';
  const values = series.flatMap(({ of }) => points.map(of));
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const [from, to] = [Date.parse(first.at), Date.parse(last.at)];
  const x = ({ at }: Point) => (((Date.parse(at) - from) * width) / (to - from || 1)).toFixed(1);
  const y = (value: number) => (height - ((value - low) * height) / (high - low)).toFixed(1);
  const lines = series.map(({ name, of }) => {
    const path = points.map((point) => `${x(point)},${y(of(point))}`).join(' ');
    // A single point would be no line.
    return `<polyline class="${name}" points="${path} ${width},${y(of(last))}"/>`;
  });
  const key = series.map(
    ({ name, says, of }) =>
      `<span class="legend"><span class="key ${name}"></span> ${says}: ${of(last) > 0 ? '+' : ''}${grouped(of(last))} in all</span>`,
  );
  const title = `Sums up to each ${first.at.length === 7 ? 'month' : 'day'}, from ${first.at} to ${last.at}`;
  return `<p class="note">${key.join('\n')}</p>
<div class="drift">
<div class="scale"><span>${grouped(high)}</span><span>${grouped(low)}</span></div>
<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${title}">
<line x1="0" x2="${width}" y1="${y(0)}" y2="${y(0)}"/>
${lines.join('\n')}
</svg>
<div class="days"><span>${first.at}</span><span>${last.at}</span></div>
</div>`;
}
