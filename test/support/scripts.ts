import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * scripts/ as JavaScript, laid out as in the installed package. A command that tsx starts takes
 * a second of CPU, and a run of the suite starts two hundred.
 */
export function buildScripts(folder: string): void {
  mkdirSync(folder);
  for (const part of ['migrations', 'sql', 'node_modules', 'package.json']) {
    symlinkSync(join(root, part), join(folder, part));
  }
  const [from, to] = [join(root, 'scripts'), join(folder, 'dist')];
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith('.ts') });
  const files = readdirSync(from).filter((name) => name.endsWith('.ts'));
  const flags = ['--ignoreConfig', '--noCheck', '--rewriteRelativeImportExtensions'];
  const format = ['--module', 'nodenext', '--target', 'es2023', '--rootDir', from, '--outDir', to];
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const paths = files.map((name) => join(from, name));
  execFileSync(process.execPath, [tsc, ...flags, ...format, ...paths], { stdio: 'inherit' });
}

/** One of them, as it was built for this run: 'cli.js'. */
export const script = (path: string): string => join(inject('folder'), 'package/dist', path);
