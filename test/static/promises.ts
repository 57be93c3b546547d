import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { packageRoot } from '../../scripts/package.ts';
import { read, sqlFiles } from './sources.ts';

/** Text by path: what the four places of a promise are looked for in. */
export type Files = Map<string, string>;

const names = (folder: string, end: string) =>
  readdirSync(join(packageRoot, folder))
    .filter((name) => name.endsWith(end))
    .map((name) => `${folder}/${name}`);

export function readFiles(): Files {
  const guides = [...names('.', '.md'), ...(existsSync('docs') ? names('docs', '.md') : [])];
  const tests = names('test/invariants', '.test.ts');
  const paths = [...guides, ...sqlFiles('migrations'), ...sqlFiles('sql'), ...tests];
  return new Map(paths.map((path) => [path.replace(/^\.\//, ''), read(path)]));
}

const claims = /^(README\.md|docs\/)/;
const isSql = /^(migrations|sql)\//;
// A view shows and a check compares; neither keeps anything.
const detects = /^sql\/(views|checks)\//;
// A guard's first argument is the promise that it keeps.
const guards = /\b(?:refuse_\w+|raise_change_by_hand)\(\s*'(\w+)'/g;
const nameOf = (path: string) => basename(path).replace(/\.(test\.ts|sql)$/, '');

/** Every name that one of the places takes for a promise. */
export function promisesIn(files: Files): string[] {
  const guarantees = /^## What it guarantees$(.*?)^## /ms.exec(files.get('README.md') ?? '')?.[1];
  const claimed = [...(guarantees ?? '').matchAll(/`([a-z]+(?:_[a-z]+){2,})`/g)].map(
    ([, name = '']) => name,
  );
  const guarded = [...files].flatMap(([path, text]) =>
    isSql.test(path) ? [...text.matchAll(guards)].map(([, name = '']) => name) : [],
  );
  const own = [...files.keys()].filter((path) => /^(sql\/checks|test\/invariants)\//.test(path));
  return [...new Set([...claimed, ...guarded, ...own.map(nameOf)])].sort();
}

/** The places that a promise has no mention in. */
export function missingPlaces(files: Files): string[] {
  return promisesIn(files).flatMap((name) => {
    const says = new RegExp(`\\b${name}\\b`);
    const isSaid = (isPlace: (path: string) => boolean) =>
      [...files].some(([path, text]) => isPlace(path) && says.test(text));
    const places = {
      'claim, in README.md or docs/': isSaid((path) => claims.test(path)),
      'enforcement, in migrations/ or sql/': isSaid((p) => isSql.test(p) && !detects.test(p)),
      'detection, in sql/checks/': files.has(`sql/checks/${name}.sql`),
      'proof, in test/invariants/': files.has(`test/invariants/${name}.test.ts`),
    };
    const missing = Object.entries(places).filter(([, is]) => !is);
    return missing.map(([place]) => `${name} has no ${place}`);
  });
}

/** Checks that tell of another promise than their own, or that credits.discrepancies leaves out. */
export function strayChecks(files: Files): string[] {
  const union = files.get('sql/views/discrepancies.sql') ?? '';
  return [...files].flatMap(([path, text]) => {
    if (!path.startsWith('sql/checks/')) return [];
    const name = nameOf(path);
    const told = [...text.matchAll(/'(\w+)' as invariant/g)].map(([, of]) => of);
    return [
      ...(text.includes(`create or replace view credits_private.check_${name} as`)
        ? []
        : [`${path} makes no view check_${name}`]),
      ...(told.length > 0 && told.every((of) => of === name) ? [] : [`${path} tells of ${told}`]),
      ...(new RegExp(`\\btable credits_private\\.check_${name}\\b`).test(union)
        ? []
        : [`credits.discrepancies leaves out ${name}`]),
    ];
  });
}
