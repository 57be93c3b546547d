/** A whole number of the smallest unit as people write it: 861 at scale 2 is 8.61. Exact: no float is made of it. */
export function formatAmount(value: bigint | number | string, scale = 0, unit = ''): string {
  const digits = String(value);
  const negative = digits.startsWith('-');
  const padded = digits.slice(negative ? 1 : 0).padStart(scale + 1, '0');
  const whole = padded.slice(0, padded.length - scale);
  const amount = scale === 0 ? whole : `${whole}.${padded.slice(-scale)}`;
  return `${negative ? '-' : ''}${amount}${unit === '' ? '' : ` ${printable(unit)}`}`;
}

const isWide =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
const segmenter = new Intl.Segmenter();

/** How many columns a terminal gives to the text: what a reader sees as one character may be several, and two wide. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of segmenter.segment(text))
    width +=
      isWide.test(segment) || segment.includes('\ufe0f') ? 2 : /^\p{M}+$/u.test(segment) ? 0 : 1;
  return width;
}

/** Ids come from the app's users: nothing in them may break a line, colour a terminal or turn its direction. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, '0')}`,
  );
}

export type Align = 'left' | 'right';

/** Rows of cells in columns that line up. */
export function alignRows(rows: string[][], align: Align[] = [], indent = ''): string[] {
  const cells = rows.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of cells)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, displayWidth(cell));
    });
  return cells.map((row) => {
    const padded = row.map((cell, i) => {
      const space = ' '.repeat((widths[i] ?? 0) - displayWidth(cell));
      return align[i] === 'right' ? space + cell : cell + space;
    });
    return (indent + padded.join('  ')).trimEnd();
  });
}

/** With a heading, and a line below it. */
export function formatTable(heading: string[], rows: string[][], align: Align[] = []): string[] {
  const [head = '', ...lines] = alignRows([heading, ...rows], align);
  const rule = '-'.repeat(Math.max(...[head, ...lines].map(displayWidth)));
  return [head, rule, ...lines];
}

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
  `${count} ${count === 1n ? one : many}`;
