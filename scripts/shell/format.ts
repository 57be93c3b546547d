import { columnWidths, displayWidth, terminalWidth, wrap } from './columns.ts';

/** A whole number with separated thousands. */
export const grouped = (value: bigint | number): string => value.toLocaleString('en-US');

export const orDash = (value: bigint | null): string => (value === null ? '-' : grouped(value));

/** A difference with its sign. */
export const signed = (value: bigint): string => `${value > 0n ? '+' : ''}${grouped(value)}`;

/** An amount in smallest units as people write it: 123456 at scale 2 is 1,234.56. Exact: no float is involved. */
export function formatAmount(value: bigint | number | string, scale = 0, unit = ''): string {
  const digits = String(value);
  const negative = digits.startsWith('-');
  const padded = digits.slice(negative ? 1 : 0).padStart(scale + 1, '0');
  const whole = padded.slice(0, padded.length - scale);
  const thousands = grouped(BigInt(whole));
  const amount = scale === 0 ? thousands : `${thousands}.${padded.slice(-scale)}`;
  return `${negative ? '-' : ''}${amount}${unit === '' ? '' : ` ${printable(unit)}`}`;
}

/** Ids come from the app's users: they must not break a line, colour the terminal or change the text direction. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, '0')}`,
  );
}

export type Align = 'left' | 'right';

/** Rows of cells in aligned columns; long texts wrap within their column. */
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

/** A table with a heading; where a line has no room for all columns, one line per cell instead. */
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

/** JSON in which a bigint is a number with all its digits. A NUL marks them: no text from Postgres contains one. */
export function toJson(value: unknown): string {
  const marked = JSON.stringify(
    value,
    (_, each) => (typeof each === 'bigint' ? `\0${each}` : each),
    2,
  );
  return marked.replace(/"\\u0000(-?\d+)"/g, '$1');
}

/** Renames a report's keys: --json uses snake_case, like the SQL API. */
export const snakeKeys = (report: object): object =>
  Object.fromEntries(
    Object.entries(report).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );

export const plural = (count: bigint, one: string, many = `${one}s`) =>
  `${grouped(count)} ${count === 1n ? one : many}`;
