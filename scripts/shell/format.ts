import { columnWidths, displayWidth, terminalWidth, wrap } from './columns.ts';

/** A whole number with its thousands apart. */
export const grouped = (value: bigint | number): string => value.toLocaleString('en-US');

export const orDash = (value: bigint | null): string => (value === null ? '-' : grouped(value));

/** Of a difference: which way it goes. */
export const signed = (value: bigint): string => `${value > 0n ? '+' : ''}${grouped(value)}`;

/** A whole number of the smallest unit as people write it: 123456 at scale 2 is 1,234.56. Exact: no float is made of it. */
export function formatAmount(value: bigint | number | string, scale = 0, unit = ''): string {
  const digits = String(value);
  const negative = digits.startsWith('-');
  const padded = digits.slice(negative ? 1 : 0).padStart(scale + 1, '0');
  const whole = padded.slice(0, padded.length - scale);
  const thousands = grouped(BigInt(whole));
  const amount = scale === 0 ? thousands : `${thousands}.${padded.slice(-scale)}`;
  return `${negative ? '-' : ''}${amount}${unit === '' ? '' : ` ${printable(unit)}`}`;
}

/** Ids come from the app's users: nothing in them may break a line, colour a terminal or turn its direction. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, '0')}`,
  );
}

export type Align = 'left' | 'right';

/** Rows of cells in columns that line up; texts go on below themselves where the terminal ends. */
export function alignRows(
  rows: string[][],
  align: Align[] = [],
  { indent = '', width = terminalWidth() } = {},
): string[] {
  const cells = rows.map((row) => row.map(printable));
  const widths =
    columnWidths(cells, align, width - indent.length) ?? columnWidths(cells, align, Infinity);
  return cells.flatMap((row) => layRow(row, widths ?? [], align).map((line) => indent + line));
}

function layRow(row: string[], widths: number[], align: Align[]): string[] {
  const parts = row.map((cell, i) => wrap(cell, widths[i] ?? 0));
  const height = Math.max(...parts.map((lines) => lines.length));
  return Array.from({ length: height }, (_, at) => {
    const padded = parts.map((lines, i) => {
      const line = lines[at] ?? '';
      const space = ' '.repeat((widths[i] ?? 0) - displayWidth(line));
      return align[i] === 'right' ? space + line : line + space;
    });
    return padded.join('  ').trimEnd();
  });
}

/** With a heading, and a line below it; where no line has room for all columns, each below the other. */
export function formatTable(
  heading: string[],
  rows: string[][],
  align: Align[] = [],
  width = terminalWidth(),
): string[] {
  const cells = [heading, ...rows].map((row) => row.map(printable));
  const widths = columnWidths(cells, align, width);
  const [head = [], ...lines] = widths
    ? cells.map((row) => layRow(row, widths, align))
    : [[], ...rows.map((row) => asRecord(heading, row, width))];
  const rule = '-'.repeat(Math.max(...[head, ...lines].flat().map(displayWidth)));
  return widths ? [...head, rule, ...lines.flat()] : lines.flatMap((record) => [rule, ...record]);
}

const asRecord = (heading: string[], row: string[], width: number) =>
  alignRows(
    row.map((cell, i) => [heading[i] ?? '', cell]),
    [],
    { width },
  );

/** JSON in which a bigint is a number with all of its digits. No text out of Postgres contains a NUL, which marks them. */
export function toJson(value: unknown): string {
  const marked = JSON.stringify(
    value,
    (_, each) => (typeof each === 'bigint' ? `\0${each}` : each),
    2,
  );
  return marked.replace(/"\\u0000(-?\d+)"/g, '$1');
}

/** Of a report: --json has the case of the SQL API. */
export const snakeKeys = (report: object): object =>
  Object.fromEntries(
    Object.entries(report).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );

export const plural = (count: bigint, one: string, many = `${one}s`) =>
  `${grouped(count)} ${count === 1n ? one : many}`;
