import { grouped, printable } from '../../shell/format.ts';

/** Ids come from the app's users: nothing in them may be markup, or turn the page's direction. */
export const escapeHtml = (text: string): string =>
  printable(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

export const counted = (count: bigint, one: string, many: string) =>
  `${grouped(count)} ${count === 1n ? one : many}`;
