import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { root } from './document.ts';

const blocks = /^```.*?^```$/gms;

/** Each link of the documents that leads to no file, or to no heading of a document. */
export function brokenLinks(documents: Map<string, string>): string[] {
  return [...documents].flatMap(([path, text]) =>
    linksOf(text)
      .filter((link) => !resolves(path, link, documents))
      .map((link) => `${path}: ${link}`),
  );
}

const linksOf = (text: string) =>
  [...text.replace(blocks, '').matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link));

function resolves(from: string, link: string, documents: Map<string, string>): boolean {
  const [file = '', anchor] = link.split('#');
  const path = file === '' ? from : join(dirname(from), file);
  const text = documents.get(path);
  if (anchor !== undefined) return text !== undefined && anchorsOf(text).includes(anchor);
  return text !== undefined || existsSync(new URL(path, root));
}

/** As GitHub makes them of headings: lower case, words joined by hyphens, no other punctuation. */
const anchorsOf = (text: string) =>
  [...text.replace(blocks, '').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
