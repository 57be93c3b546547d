// How wide texts are on a terminal, and how columns of them fit.

const isWide =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
const segmenter = new Intl.Segmenter();

/** How many columns the text takes on a terminal: one visible character may be several code points, and two wide. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of segmenter.segment(text)) width += widthOf(segment);
  return width;
}

const widthOf = (segment: string) =>
  isWide.test(segment) || segment.includes('\ufe0f') ? 2 : /^\p{M}+$/u.test(segment) ? 0 : 1;

/** The width of the terminal on stdout; a file or a pipe has no limit. */
export const terminalWidth = (): number =>
  process.stdout.isTTY ? process.stdout.columns || Infinity : Infinity;

const gap = 2;
const narrowest = 12;

/**
 * The width of each column, so that a row takes at most `limit`. Only texts shrink, the widest first: a figure that
 * wraps would be misread. Undefined where that is not enough.
 */
export function columnWidths(
  rows: string[][],
  align: ('left' | 'right')[],
  limit: number,
): number[] | undefined {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, displayWidth(cell));
    });
  const used = widths.reduce((sum, width) => sum + width, gap * (widths.length - 1));
  for (let over = used - limit; over > 0; over -= 1) {
    const texts = widths.map((width, i) => (align[i] === 'right' ? 0 : width));
    const widest = Math.max(...texts);
    if (widest <= narrowest) return undefined;
    const at = texts.indexOf(widest);
    widths[at] = widest - 1;
  }
  return widths;
}

/** Lines of at most `width` columns, broken after words; a longer word is broken inside. */
export function wrap(text: string, width: number): string[] {
  if (displayWidth(text) <= width) return [text];
  const lines = [''];
  const add = (part: string) => {
    const line = lines.at(-1) ?? '';
    if (displayWidth((line + part).trimEnd()) <= width) lines[lines.length - 1] = line + part;
    else lines.push(part);
  };
  for (const word of text.split(/(?<=[\s/_.,;:()-])/)) {
    if (displayWidth(word.trimEnd()) <= width) add(word);
    else for (const { segment } of segmenter.segment(word)) add(segment);
  }
  return lines.map((line) => line.trimEnd()).filter((line) => line !== '');
}
