import { chownSync, cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { $, glob, type Shell } from 'zx';
import { copyBinaries, findBinaries } from '../postgres/embedded-binaries.ts';
import { Skip } from './check.ts';

export const standIn = 'pg-credits-ci/postgres-stand-in:18';
const owner = 999;

// As in the official image: the environment names a database, a user and a password.
const entrypoint = `#!/bin/sh
set -eu
printf %s "$POSTGRES_PASSWORD" >/tmp/password
initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 \\
  --auth-local=trust --no-sync --encoding=UTF8 --locale=C \\
  --locale-provider=builtin --builtin-locale=C.UTF-8
rm /tmp/password
echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
[ "$POSTGRES_DB" = postgres ] || echo "create database \\"$POSTGRES_DB\\"" | postgres --single postgres
exec "$@"
`;

/**
 * Stands in for the official image where no registry of images can be reached: npm's Postgres 18,
 * Debian's busybox and pg_isready, by which testcontainers sees that the server is ready.
 */
export async function importImage(folder: string, docker: Shell): Promise<void> {
  const busybox = '/bin/busybox'; // from busybox-static, or with its libraries
  const [isReady] = await glob('/usr/lib/postgresql/*/bin/pg_isready');
  if (!existsSync(busybox) || !isReady) {
    throw new Skip("no stand-in image without Debian's busybox and postgresql-client");
  }
  for (const path of ['bin', 'etc', 'proc', 'tmp', 'data']) {
    mkdirSync(join(folder, path), { recursive: true });
  }
  for (const path of ['tmp', 'data']) chownSync(join(folder, path), owner, owner);
  writeFileSync(join(folder, 'etc/passwd'), `postgres:x:${owner}:${owner}::/data:/bin/sh\n`);
  writeFileSync(join(folder, 'entrypoint'), entrypoint, { mode: 0o755 });
  copyBinaries(findBinaries(18), join(folder, 'native'));
  await copyProgram(busybox, folder);
  await copyProgram(isReady, folder);
  for (const program of await glob(join(folder, 'native/bin/*')))
    await copyLibraries(program, folder);
  await linkApplets(busybox, folder);
  const changes = [
    'ENV PATH=/native/bin:/bin PGDATA=/data',
    `USER ${owner}`,
    'ENTRYPOINT ["/entrypoint"]',
    'CMD ["postgres"]',
  ].flatMap((change) => ['--change', change]);
  await docker`tar -C ${folder} -c . | docker import ${changes} - ${standIn}`;
}

async function copyProgram(program: string, folder: string): Promise<void> {
  cpSync(program, join(folder, 'bin', program.split('/').pop() ?? ''), { dereference: true });
  await copyLibraries(program, folder);
}

/** The libraries that it does not bring itself, where the loader will look for them. */
async function copyLibraries(program: string, folder: string): Promise<void> {
  const { stdout } = await $({ quiet: true, nothrow: true })`ldd ${program}`;
  for (const [, path = ''] of stdout.matchAll(/(\/\S+) \(0x/g)) {
    const to = join(folder, path);
    if (path.startsWith(folder) || existsSync(to)) continue;
    mkdirSync(dirname(to), { recursive: true });
    cpSync(path, to, { dereference: true });
  }
}

async function linkApplets(busybox: string, folder: string): Promise<void> {
  const { stdout } = await $({ quiet: true })`${busybox} --list`;
  for (const applet of stdout.trim().split('\n')) {
    const link = join(folder, 'bin', applet);
    if (applet !== 'busybox' && !existsSync(link)) symlinkSync('busybox', link);
  }
}
