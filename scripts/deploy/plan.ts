import { migrationName, type Package, rolesFile, type SqlFile } from '../package.ts';
import type { Roles } from '../postgres/roles.ts';
import { Failure } from '../shell/explain.ts';
import type { Applied, Plan } from './bookkeeping.ts';

/** The files to apply: pending migrations, then what changed in sql/, or all of sql/. */
export function planFiles(
  pkg: Package,
  applied: Applied,
  roles: Pick<Roles, 'missing' | 'created'>,
  everything: boolean,
): Plan {
  checkHistory(pkg, applied);
  const migrations = pkg.migrations.slice(applied.migrations.length);
  const changed = (file: SqlFile) => applied.checksums.get(file.path) !== file.checksum;
  const privileges = pkg.files.find((file) => file.path === rolesFile);
  const skipped = privileges !== undefined && lacks(privileges, roles);
  const all = everything || migrations.length > 0;
  const files = pkg.files.filter((file) => file !== privileges && (all || changed(file)));
  if (
    privileges &&
    !skipped &&
    (files.length > 0 || all || changed(privileges) || roles.created.length > 0)
  )
    files.push(privileges);
  const known = new Set([...pkg.files, ...pkg.migrations].map((file) => file.path));
  const forgotten = [...applied.checksums.keys()].filter((path) => !known.has(path));
  // Forgetting the record makes a later deploy apply the file once its roles exist.
  if (skipped && applied.checksums.has(rolesFile)) forgotten.push(rolesFile);
  return { migrations, files, forgotten };
}

const lacks = (file: SqlFile, roles: Pick<Roles, 'missing'>) =>
  roles.missing.some((role) => new RegExp(`\\b${role}\\b`).test(file.text));

function checkHistory(pkg: Package, applied: Applied) {
  const ours = pkg.migrations.map(migrationName);
  const ahead = applied.migrations.filter((name) => !ours.includes(name)).at(-1);
  if (ahead)
    throw new Failure(
      `the database is ahead of this package (migration ${ahead}): deploy a newer pg-credits`,
    );
  applied.migrations.forEach((name, i) => {
    const file = pkg.migrations[i];
    if (!file || migrationName(file) !== name)
      throw new Failure(
        `${file?.path ?? name} was not applied, but ${name} after it was: this package and this database have different histories`,
      );
    const recorded = applied.checksums.get(file.path);
    if (recorded !== undefined && recorded !== file.checksum)
      throw new Failure(
        `${file.path} is not what was applied to this database: a released migration never changes`,
      );
  });
}
