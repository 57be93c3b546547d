import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { $ } from 'zx';
import { startPostgres } from '../postgres/embedded.ts';
import type { Check } from './check.ts';

const needed = [
  'dist/cli.js',
  'dist/adoption/app/adoption.sql',
  'sql/roles.sql',
  'sql/schema.snapshot',
  'migrations/SHA256SUMS',
];
const mayHave =
  /^(dist\/.+\.js|dist\/adoption\/.+\.sql|migrations\/.+|sql\/.+|docs\/.+\.md|package\.json|LICENSE|(README|CHANGELOG|SECURITY)\.md)$/;

/** Checks that the package holds what it needs and nothing stray, and works where it is installed. */
export const packageCheck = (folder: string): Check => ({
  name: 'package',
  minutes: 5,
  async run(signal) {
    const shell = $({ signal, stdio: ['ignore', 'pipe', 'inherit'] });
    const packed = await shell`npm pack --json --pack-destination ${folder}`;
    const [{ filename, files }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[')));
    const paths: string[] = files.map((file: { path: string }) => file.path);
    const stray = paths.filter((path) => !mayHave.test(path));
    if (stray.length > 0) throw new Error(`stray files in it: ${stray.join(', ')}`);
    const missing = needed.filter((path) => !paths.includes(path));
    if (missing.length > 0) throw new Error(`missing in it: ${missing.join(', ')}`);
    const tarball = join(folder, filename);
    await $({ signal, stdio: 'inherit' })`npx publint run ${tarball} --strict`;
    await tryIt(tarball, join(folder, 'app'), signal);
    return { passed: 1, failed: 0, skipped: 0 };
  },
});

async function tryIt(tarball: string, app: string, signal: AbortSignal): Promise<void> {
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{}');
  const shell = $({ signal, cwd: app, stdio: ['ignore', 'inherit', 'inherit'] });
  await shell`npm install --silent --no-audit --no-fund ${tarball}`;
  const postgres = await startPostgres();
  try {
    await shell`npx pg-credits deploy --database-url ${postgres.url}`;
    await shell`npx pg-credits verify --database-url ${postgres.url}`;
  } finally {
    await postgres.stop();
  }
}
