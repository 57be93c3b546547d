import type { Facts } from './describe.ts';
import { withEight } from './goals.ts';
import type { Measured } from './measure.ts';
import { figure } from './report.ts';
import { ratioOf, type Spread } from './statistics.ts';

const size = { width: 800, height: 430 };
const plot = { left: 48, right: 784, top: 96, bottom: 340 };
const bar = { width: 24, gap: 4 };
const colours: Record<string, string> = {
  floor: 'a',
  'by hand': 'b',
  'shared house account': 'c',
  deduct_credits: 'd',
};

interface Group {
  label: string[];
  bars: { name: string; ratio: Spread }[];
}

/** Throughput beside the floor's, with whiskers from the slowest round to the fastest. */
export function drawPlot(cells: Measured[], facts: Facts): string {
  const groups = chosen(cells).map(groupOf);
  const top = Math.max(1, ...groups.flatMap(({ bars }) => bars.map(({ ratio }) => ratio.max)));
  const step = top > 4 ? 2 : top > 2 ? 0.5 : 0.25;
  const y = (value: number) => Math.round(plot.bottom - (value / top) * (plot.bottom - plot.top));
  const slot = (plot.right - plot.left) / Math.max(1, groups.length);
  const ticks = Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => i * step);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}" viewBox="0 0 ${size.width} ${size.height}" role="img">`,
    '<title>Deductions per second, beside the bare floor</title>',
    style,
    `<rect class="paper" width="${size.width}" height="${size.height}" rx="8"/>`,
    text(20, 32, 'Deductions per second, beside the bare floor (= 1)', 'title'),
    ...legend(),
    ...ticks.flatMap((tick) => [
      `<line class="grid" x1="${plot.left}" x2="${plot.right}" y1="${y(tick)}" y2="${y(tick)}"/>`,
      text(plot.left - 8, y(tick) + 4, String(tick), 'end'),
    ]),
    ...groups.flatMap((group, i) => drawGroup(group, plot.left + slot * (i + 0.5), y)),
    text(20, size.height - 14, caption(facts), 'small'),
    '</svg>',
  ].join('\n');
}

/** Every number of clients in the usual case and one in each of the others: as much as stays legible. */
function chosen(cells: Measured[]): Measured[] {
  const complete = cells.filter(({ perSecond }) => perSecond.floor);
  const isUsual = (cell: Measured) => cell.accounts > 1 && cell.latencyMs === 0 && cell.isFlushed;
  const clients = withEight(complete)?.clients;
  return complete.filter((cell) => isUsual(cell) || cell.clients === clients);
}

function groupOf({ title, perSecond }: Measured): Group {
  const floor = perSecond.floor ?? [];
  const bars = Object.entries(perSecond)
    .filter(([name]) => colours[name])
    .map(([name, values]) => ({ name, ratio: ratioOf(values, floor) }));
  return { label: title.split(', '), bars };
}

function drawGroup({ label, bars }: Group, centre: number, y: (value: number) => number) {
  const left = Math.round(centre - (bars.length * (bar.width + bar.gap) - bar.gap) / 2);
  const drawn = bars.flatMap(({ name, ratio: { median, min, max } }, i) => {
    const x = left + i * (bar.width + bar.gap);
    const middle = x + bar.width / 2;
    const whisker = `M${middle} ${y(min)}V${y(max)}M${middle - 4} ${y(min)}h8M${middle - 4} ${y(max)}h8`;
    return [
      `<rect class="${colours[name]}" x="${x}" y="${y(median)}" width="${bar.width}" height="${plot.bottom - y(median)}"/>`,
      ...(min === max ? [] : [`<path class="whisker" d="${whisker}"/>`]),
      text(middle, y(max) - 5, name === 'floor' ? '1' : figure(median), 'value'),
    ];
  });
  return [
    ...drawn,
    ...label.map((line, i) => text(Math.round(centre), 360 + i * 15, line, 'label')),
  ];
}

function legend(): string[] {
  let x = 20;
  return Object.entries(colours).flatMap(([name, colour]) => {
    const mark = `<rect class="${colour}" x="${x}" y="50" width="14" height="14"/>`;
    const label = text(x + 20, 62, name, '');
    x += 44 + name.length * 8;
    return [mark, label];
  });
}

const caption = ({ version, settings, client }: Facts) =>
  `${version.split(' on ')[0]}, fsync ${settings.fsync}, ${client.cores} cores, ${client.driver}; median, slowest and fastest round. npm run bench`;

const escaped = (words: string) =>
  words.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);

const text = (x: number, y: number, words: string, kind: string) =>
  `<text class="${kind}" x="${x}" y="${y}">${escaped(words)}</text>`;

const style = `<style>
  text { font: 14px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 18px; font-weight: 600; } .small, .label, .value { font-size: 12px; }
  .label, .value { text-anchor: middle; } .end { text-anchor: end; }
  .paper { fill: #fff; } .grid { stroke: #d1d9e0; } .whisker { stroke: #1f2328; fill: none; }
  .a { fill: #afb8c1; } .b { fill: #e3a008; } .c { fill: #cf5b5b; } .d { fill: #1f7a4d; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .paper { fill: #0d1117; } .grid { stroke: #30363d; }
    .whisker { stroke: #e6edf3; } .a { fill: #6e7681; } .d { fill: #3fb950; }
  }
</style>`;
