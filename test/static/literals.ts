import { ofRoutines } from './rule.ts';
import { find } from './tree.ts';

/** With standard_conforming_strings off, as a session may have it, a backslash is no backslash. */
export const noBackslashes = ofRoutines(() => ({ statements }) => {
  const texts = find(statements, 'A_Const').map(({ sval }) => sval?.sval ?? '');
  return texts.filter((text) => text.includes('\\')).map((text) => `'${text}' has a backslash`);
});
