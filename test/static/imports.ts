import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { packageRoot } from '../../scripts/package.ts';

/** For each file, by its path from the root, the files that it imports. */
export type Imports = Map<string, string[]>;

const specifier = /(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g;

export const importsOf = (path: string, text: string): string[] =>
  [...text.matchAll(specifier)].map(([, to = '']) => normalize(join(dirname(path), to)));

export const readImports = (folders: string[]): Imports =>
  new Map(
    folders
      .flatMap((folder) =>
        readdirSync(join(packageRoot, folder), { recursive: true, encoding: 'utf8' }).map(
          (path) => `${folder}/${path}`,
        ),
      )
      .filter((path) => path.endsWith('.ts'))
      .map((path) => [path, importsOf(path, readFileSync(join(packageRoot, path), 'utf8'))]),
  );

/** What npm ships must run without the workshop. */
export const throughTheWall = (imports: Imports): string[] =>
  [...imports].flatMap(([from, targets]) =>
    targets
      .filter((to) => from.startsWith('scripts/') && !to.startsWith('scripts/'))
      .map((to) => `${from} imports ${to}`),
  );

/** Every import, in whichever order files are read, leads to a file that needs nothing of the one that began. */
export function circles(imports: Imports): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, path: string[]) => {
    const at = path.indexOf(file);
    if (at >= 0) found.push([...path.slice(at), file].join(' → '));
    if (at >= 0 || done.has(file)) return;
    for (const to of imports.get(file) ?? []) visit(to, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  return found;
}

/** Imports between folders; a file above the folders is a room of its own. */
export function rooms(imports: Imports): Imports {
  const room = (path: string) => (path.split('/').length > 2 ? dirname(path) : path);
  const between = new Map<string, Set<string>>();
  for (const [from, targets] of imports) {
    const set = between.get(room(from)) ?? new Set();
    between.set(room(from), set);
    for (const to of targets) if (room(to) !== room(from)) set.add(room(to));
  }
  return new Map([...between].map(([from, to]) => [from, [...to].sort()]));
}
