import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { $ } from 'zx';
import { type Check, Skip } from './check.ts';

/** Finds the binary when it is needed. */
export type Node = () => string;

/**
 * Another Node from npm, of a pinned version and without install scripts, and a check that it is here. If
 * it is not available, its tests run on the Node that runs CI.
 */
export function nodeFromNpm(version: string, folder: string): { check: Check; node: Node } {
  const major = version.split('.', 1)[0];
  let binary = process.execPath;
  const check: Check = {
    name: `Node ${major}`,
    minutes: 3,
    async run(signal) {
      if (process.versions.node.split('.', 1)[0] !== major) {
        binary = await install(version, join(folder, `node-${major}`), signal);
      }
      return { passed: 1, failed: 0, skipped: 0 };
    },
  };
  return { check, node: () => binary };
}

async function install(version: string, folder: string, signal: AbortSignal): Promise<string> {
  const name = `node-${process.platform}-${process.arch}`;
  mkdirSync(folder);
  const flags = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--prefix', folder];
  const quiet = $({ nothrow: true, quiet: true, signal });
  const npm = await quiet`npm install ${flags} ${name}@${version}`;
  signal.throwIfAborted();
  const binary = join(folder, 'node_modules', name, 'bin/node');
  const said = await quiet`${binary} --version`;
  if (said.stdout.trim() === `v${version}`) return binary;
  const [reason] = (npm.stderr || said.stderr).trim().split('\n');
  throw new Skip(`npm did not give us ${name}@${version} (${reason}): ${process.version} instead`);
}
