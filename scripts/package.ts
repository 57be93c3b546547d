import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Failure } from './shell/explain.ts';
import { parseSnapshot, type Snapshot } from './snapshot/snapshot.ts';

export interface SqlFile {
  /** Relative to the root, with slashes, as messages and the bookkeeping have it. */
  path: string;
  text: string;
  checksum: string;
}

export interface Package {
  root: string;
  version: string;
  migrations: SqlFile[];
  /** In the order in which they are applied; sql/roles.sql, if there is one, is the last. */
  files: SqlFile[];
  /** The schemas once everything is applied. A package under construction may lack it. */
  snapshot?: Snapshot;
}

// scripts/package.ts and dist/package.js are both one level below the root.
export const packageRoot = fileURLToPath(new URL('../', import.meta.url));
export const rolesFile = 'sql/roles.sql';
const snapshotFile = 'sql/schema.snapshot';
export const isMigration = (name: string) => /^\d{4}_[^/]*\.sql$/.test(name);
const folders = ['private', 'triggers', 'functions', 'views', 'checks'];

export function packageVersion(root = packageRoot): string {
  const file = join(existsSync(join(root, 'package.json')) ? root : packageRoot, 'package.json');
  return String(JSON.parse(readFileSync(file, 'utf8')).version);
}

export function readPackage(root = packageRoot, rolePrefix = ''): Package {
  checkPrefix(rolePrefix);
  const paths = list(root, 'migrations').filter((path) => isMigration(path.slice(11)));
  const migrations = paths.map((path) => read(root, path));
  checkNumbers(migrations);
  const files = sqlFiles(root, rolePrefix);
  const text = readText(root, snapshotFile);
  const snapshot = text === undefined ? {} : { snapshot: parseSnapshot(text) };
  return { root, version: packageVersion(root), migrations, files, ...snapshot };
}

function readText(root: string, path: string): string | undefined {
  if (existsSync(join(root, path))) return readFileSync(join(root, path), 'utf8');
  if (root === packageRoot) throw new Failure(`the package is incomplete: it has no ${path}`);
  return undefined;
}

/** The name without the extension, as node-pg-migrate records it. */
export const migrationName = (file: SqlFile) => basename(file.path, '.sql');

export function checkPrefix(prefix: string): void {
  if (prefix !== '' && !/^[a-z][a-z0-9_]{0,30}$/.test(prefix))
    throw new Failure(
      `role prefix ${JSON.stringify(prefix)}: lower-case letters, digits and _ only, at most 31`,
    );
}

/** Roles are shared by all databases of a server; a prefix keeps two deployments apart. */
export function render(text: string, prefix: string): string {
  return text.replace(/\bcredits_(?:owner|spender|granter|auditor)\b/g, (name) => prefix + name);
}

function sqlFiles(root: string, prefix: string): SqlFile[] {
  const paths = list(root, 'sql').filter((path) => path.endsWith('.sql'));
  const stray = paths.find((path) => path !== rolesFile && rank(path) < 0);
  if (stray)
    throw new Failure(`${stray} is in none of ${folders.map((f) => `sql/${f}`).join(', ')}`);
  const order = paths
    .filter((path) => path !== rolesFile)
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const files = inOrder(order.map((path) => read(root, path, prefix)));
  return paths.includes(rolesFile) ? [...files, read(root, rolesFile, prefix)] : files;
}

const rank = (path: string) => folders.indexOf(path.split('/')[1] ?? '');

/** Is it that file, or in that folder, which ends with a slash? */
const isOf = (path: string, name: string) =>
  path === name || (name.endsWith('/') && path.startsWith(name));

/** Keeps the given order, but puts each file after those that it requires. */
function inOrder(files: SqlFile[]): SqlFile[] {
  const done = new Set<SqlFile>();
  const visit = (file: SqlFile, via: SqlFile[]) => {
    if (done.has(file)) return;
    if (via.includes(file))
      throw new Failure(`requires in a circle: ${[...via, file].map((f) => f.path).join(' → ')}`);
    for (const name of requirements(file.text)) {
      const needed = files.filter(({ path }) => isOf(path, `sql/${name}`));
      if (needed.length === 0)
        throw new Failure(`${file.path} requires ${name}: there is no sql/${name}`);
      for (const each of needed) visit(each, [...via, file]);
    }
    done.add(file);
  };
  for (const file of files) visit(file, []);
  return [...done];
}

function requirements(text: string): string[] {
  const lines = text.split('\n');
  const end = lines.findIndex((line) => !line.startsWith('--'));
  const head = end < 0 ? lines : lines.slice(0, end);
  return head.flatMap((line) => /^-- requires: (\S+)\s*$/.exec(line)?.[1] ?? []);
}

function list(root: string, folder: string): string[] {
  const at = join(root, folder);
  if (!existsSync(at)) throw new Failure(`no folder ${at}: the package is incomplete`);
  const entries = readdirSync(at, { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  return entries.flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? list(root, path) : [path];
  });
}

function read(root: string, path: string, prefix?: string): SqlFile {
  // A checkout on Windows may have other line endings, and is still the same file.
  const raw = readFileSync(join(root, path), 'utf8').replaceAll('\r\n', '\n');
  const text = prefix === undefined ? raw : render(raw, prefix);
  return { path, text, checksum: createHash('sha256').update(text).digest('hex') };
}

function checkNumbers(migrations: SqlFile[]): void {
  migrations.forEach((file, i) => {
    const before = migrations[i - 1];
    if (before && migrationName(before).slice(0, 4) === migrationName(file).slice(0, 4))
      throw new Failure(`${before.path} and ${file.path} have the same number`);
  });
}
