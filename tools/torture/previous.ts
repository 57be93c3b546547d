import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot, readPackage } from '../../scripts/package.ts';

/** The version to upgrade from, or why it is not available here. */
export type Previous = { ref: string; label: string } | { missing: string };

/** The last release or, before the first one, the commit before the newest migration. */
export function findPrevious(): Previous {
  try {
    if (git('rev-parse', '--show-prefix') !== '') return { missing: 'no git history of its own' };
    if (git('rev-parse', '--is-shallow-repository') === 'true')
      return { missing: 'a shallow clone has no earlier version' };
    const released = ['--merged', 'HEAD', '--no-contains', 'HEAD', '--sort=-version:refname'];
    const [tag] = git('tag', '--list', 'v*', ...released).split('\n');
    if (tag) return { ref: tag, label: tag };
    const { migrations } = readPackage();
    const newest = migrations.at(-1);
    if (!newest || migrations.length < 2) return { missing: 'there is no earlier version' };
    const added = git('log', '-1', '--diff-filter=A', '--format=%H', '--', newest.path);
    // A migration that is not committed yet comes after the last commit.
    const ref = git('rev-parse', '--verify', added === '' ? 'HEAD' : `${added}^`);
    return { ref, label: `${ref.slice(0, 7)}, the commit before ${newest.path}` };
  } catch (error) {
    return { missing: `no git history here (${String(error).split('\n', 1)[0]})` };
  }
}

// The checkout may belong to another user than the one who tests it.
const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'safe.directory=*', ...args], {
    cwd: packageRoot,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();

const dependencies = (folder: string) =>
  symlinkSync(join(packageRoot, 'node_modules'), join(folder, 'node_modules'));

/** Unpacks that version as npm packs it, with this version's dependencies. Returns the path of its command. */
export function unpackPrevious(ref: string, folder: string): string {
  const source = join(folder, 'source');
  mkdirSync(source, { recursive: true });
  const archive = join(folder, 'source.tar');
  git('archive', '--output', archive, ref);
  execFileSync('tar', ['-xf', archive, '-C', source]);
  dependencies(source);
  const packed = ['pack', '--silent', '--pack-destination', folder];
  const lines = execFileSync('npm', packed, { cwd: source, encoding: 'utf8' }).trim().split('\n');
  execFileSync('tar', ['-xzf', join(folder, lines.at(-1) ?? ''), '-C', folder]);
  dependencies(join(folder, 'package'));
  return join(folder, 'package/dist/cli.js');
}

/** Builds this version in another folder, since dist/ may be in use. Returns the path of its command. */
export function buildCurrent(folder: string): string {
  const dist = join(folder, 'dist');
  const tsc = join(packageRoot, 'node_modules/.bin/tsc');
  const built = ['-p', join(packageRoot, 'tsconfig.build.json'), '--outDir', dist];
  execFileSync(tsc, built, { stdio: ['ignore', 'inherit', 'inherit'] });
  for (const path of ['migrations', 'sql', 'package.json'])
    symlinkSync(join(packageRoot, path), join(folder, path));
  dependencies(folder);
  return join(dist, 'cli.js');
}

/** What a pipeline runs, with such a command. */
export const deployArguments = (command: string, url: string, rolePrefix: string) => [
  command,
  ...['deploy', '--database-url', url, '--role-prefix', rolePrefix],
];
