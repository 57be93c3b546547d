import pg from 'pg';
import { migrationName, type Package, type SqlFile } from '../package.ts';

/** Which of the package's files a deploy applies, and which records it deletes. */
export interface Plan {
  migrations: SqlFile[];
  files: SqlFile[];
  /** Recorded paths that the package no longer has. */
  forgotten: string[];
}

/** What the database says was applied to it: migrations in order, and checksums by path. */
export interface Applied {
  migrations: string[];
  checksums: Map<string, string>;
  /** The version of the package, and the prefix of the roles; undefined where they are not recorded. */
  version: string | undefined;
  rolePrefix: string | undefined;
}

export const nothingApplied: Applied = {
  migrations: [],
  checksums: new Map(),
  version: undefined,
  rolePrefix: undefined,
};

export const bookkeepingTables = ['credits_private.applied_files', 'credits_private.migrations'];

// Rows of applied_files that are about no file.
const versionRow = 'package';
const prefixRow = 'role prefix';

/** The second table has the shape that node-pg-migrate expects. */
export const createBookkeeping = `
create table credits_private.applied_files (
  path text not null constraint a_file_is_recorded_once primary key,
  checksum text not null,
  applied_at timestamptz not null default pg_catalog.now()
);
comment on table credits_private.applied_files is
  'What pg-credits deploy applied: the SHA-256 of each file of migrations/ and sql/, the version of the package, and the prefix of the roles.';
create table credits_private.migrations (
  id serial primary key,
  name varchar(255) not null,
  run_on timestamp not null
);
comment on table credits_private.migrations is 'The migrations that were applied, kept by node-pg-migrate.';`;

export async function readApplied(client: pg.ClientBase): Promise<Applied> {
  const migrations = await client.query(
    'select name from credits_private.migrations order by run_on, id',
  );
  const files = await client.query('select path, checksum from credits_private.applied_files');
  const checksums = new Map<string, string>(files.rows.map((row) => [row.path, row.checksum]));
  const [version, rolePrefix] = [checksums.get(versionRow), checksums.get(prefixRow)];
  checksums.delete(versionRow);
  checksums.delete(prefixRow);
  return { migrations: migrations.rows.map((row) => row.name), checksums, version, rolePrefix };
}

/** Records as applied the migrations whose tables already exist. */
export const recordMigrations = (files: SqlFile[]) =>
  `insert into credits_private.migrations (name, run_on) values\n${files
    .map((file) => `  (${pg.escapeLiteral(migrationName(file))}, now())`)
    .join(',\n')};`;

/** The statements that record what was applied; empty when nothing changed. */
export function recordPlan(
  pkg: Package,
  applied: Applied,
  rolePrefix: string,
  done: Plan,
  adopted: SqlFile[],
): string {
  const files = [...adopted, ...done.migrations, ...done.files];
  const rows = new Map(files.map((file) => [file.path, file.checksum]));
  if (applied.version !== pkg.version) rows.set(versionRow, pkg.version);
  if (applied.rolePrefix !== rolePrefix) rows.set(prefixRow, rolePrefix);
  const statements: string[] = [];
  if (done.forgotten.length > 0)
    statements.push(
      `delete from credits_private.applied_files where path in (${done.forgotten.map((path) => pg.escapeLiteral(path)).join(', ')});`,
    );
  const values = [...rows].map(
    (row) => `  (${row.map((text) => pg.escapeLiteral(text)).join(', ')})`,
  );
  if (rows.size > 0)
    statements.push(
      `insert into credits_private.applied_files as a (path, checksum) values\n${values.join(',\n')}
on conflict (path) do update set checksum = excluded.checksum, applied_at = excluded.applied_at;`,
    );
  return statements.join('\n');
}
