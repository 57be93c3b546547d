import type pg from 'pg';
import { Failure } from './explain.ts';
import { migrationName, type Package, rolesFile, type SqlFile } from './package.ts';
import type { Roles } from './roles.ts';

/** What the database says was applied to it: migrations in order, and checksums by path. */
export interface Applied {
  migrations: string[];
  checksums: Map<string, string>;
}

export interface Plan {
  migrations: SqlFile[];
  files: SqlFile[];
  /** Recorded paths that the package no longer has. */
  forgotten: string[];
}

const versionRow = 'package';

export const nothingApplied: Applied = { migrations: [], checksums: new Map() };

export async function createBookkeeping(client: pg.ClientBase) {
  await client.query(`
    create table credits_private.applied_files (
      path text not null constraint a_file_is_recorded_once primary key,
      checksum text not null,
      applied_at timestamptz not null default pg_catalog.now()
    );
    comment on table credits_private.applied_files is
      'What pg-credits deploy applied: the SHA-256 of each file of migrations/ and sql/, and the version of the package.'`);
}

/** node-pg-migrate makes its table itself, so the comment comes after it. */
export async function describeMigrations(client: pg.ClientBase) {
  await client.query(
    `comment on table credits_private.migrations is 'The migrations that were applied, kept by node-pg-migrate.'`,
  );
}

export async function readApplied(client: pg.ClientBase): Promise<Applied> {
  const migrations = await client.query(
    'select name from credits_private.migrations order by run_on, id',
  );
  const files = await client.query('select path, checksum from credits_private.applied_files');
  return {
    migrations: migrations.rows.map((row) => row.name),
    checksums: new Map(files.rows.map((row) => [row.path, row.checksum])),
  };
}

export function plan(pkg: Package, applied: Applied, roles: Roles, everything: boolean): Plan {
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
  const known = new Set(
    [...pkg.files, ...pkg.migrations].map((file) => file.path).concat(versionRow),
  );
  const forgotten = [...applied.checksums.keys()].filter((path) => !known.has(path));
  // Once its roles exist, it is to be applied, whatever was applied for roles of these names before.
  if (skipped && applied.checksums.has(rolesFile)) forgotten.push(rolesFile);
  return { migrations, files, forgotten };
}

const lacks = (file: SqlFile, roles: Roles) =>
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
        `${file.path} is not what was applied to this database: a migration never changes once it is out`,
      );
  });
}

export async function record(client: pg.ClientBase, pkg: Package, applied: Applied, done: Plan) {
  const files = [...done.migrations, ...done.files];
  const rows = new Map(files.map((file) => [file.path, file.checksum]));
  if (applied.checksums.get(versionRow) !== pkg.version) rows.set(versionRow, pkg.version);
  if (done.forgotten.length > 0)
    await client.query('delete from credits_private.applied_files where path = any($1)', [
      done.forgotten,
    ]);
  if (rows.size > 0)
    await client.query(
      `insert into credits_private.applied_files as a (path, checksum)
      select * from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]))
      on conflict (path) do update set checksum = excluded.checksum, applied_at = excluded.applied_at`,
      [[...rows.keys()], [...rows.values()]],
    );
}
