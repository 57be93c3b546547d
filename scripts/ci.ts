/** Everything that CI checks, in order of cost; goes on after a failure, and counts at the end. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { $, cd } from 'zx';
import { startPostgres } from './lib/embedded.ts';

interface Result {
  passed: number;
  failed: number;
  skipped: number;
}

$.stdio = ['ignore', 'inherit', 'inherit'];
const folder = mkdtempSync(join(tmpdir(), 'pg-credits-ci-'));
const total: Result = { passed: 0, failed: 0, skipped: 0 };

await check('types', () => $`npm run --silent types`);
await check('lint', () => $`npm run --silent lint`);
await check(
  'checksums, snapshot and reference are up to date',
  () => $`npm run --silent generate -- --check`,
);
await check('package', checkPackage);
for (const major of ['18', '15']) await tests(major);

rmSync(folder, { recursive: true, force: true });
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed > 0 ? 1 : 0;

async function check(name: string, run: () => PromiseLike<unknown>): Promise<void> {
  console.log(`\n== ${name}`);
  try {
    await run();
    total.passed += 1;
    console.log(`passed: ${name}`);
  } catch (error) {
    total.failed += 1;
    console.log(`failed: ${name}\n${error instanceof Error ? error.message : error}`);
  }
}

/** The README's test command on one major; each test counts. */
async function tests(major: string): Promise<void> {
  const name = `tests on the embedded Postgres ${major}`;
  console.log(`\n== ${name}`);
  const file = join(folder, `${major}.json`);
  const env = { PG_CREDITS_TEST_SERVER: 'embedded', PG_CREDITS_TEST_MAJOR: major };
  const run = await $({
    nothrow: true,
    env: { ...process.env, ...env },
  })`npm test -- --reporter=default --reporter=json --outputFile.json=${file}`;
  const counts = readCounts(file);
  total.passed += counts.passed;
  total.skipped += counts.skipped;
  // A run that fails without a failed test (a suite that can't be loaded, a crash) is a failure too.
  total.failed += run.exitCode === 0 ? counts.failed : Math.max(1, counts.failed);
}

function readCounts(file: string): Result {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests,
      skipped: report.numPendingTests,
    };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/** The package holds what it needs and nothing stray, and works where it is installed. */
async function checkPackage(): Promise<void> {
  const root = process.cwd();
  const quiet = $({ stdio: ['ignore', 'pipe', 'inherit'] });
  const packed = await quiet`npm pack --json --pack-destination ${folder}`;
  const [{ filename, files }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[')));
  const paths: string[] = files.map((file: { path: string }) => file.path);
  const stray = paths.filter(
    (path) =>
      !/^(dist\/.+\.js|dist\/schema\.snapshot|migrations\/.+|sql\/.+)$/.test(path) &&
      !['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md'].includes(path),
  );
  if (stray.length > 0) throw new Error(`stray files in the package: ${stray.join(', ')}`);
  const needed = ['dist/cli.js', 'dist/schema.snapshot', 'sql/roles.sql', 'migrations/SHA256SUMS'];
  const missing = needed.filter((path) => !paths.includes(path));
  if (missing.length > 0) throw new Error(`missing in the package: ${missing.join(', ')}`);
  const tarball = join(folder, filename);
  await $`npx publint run ${tarball} --strict`;

  cd(folder);
  writeFileSync('package.json', '{}');
  await $`npm install --silent --no-audit --no-fund ${tarball}`;
  const postgres = await startPostgres();
  try {
    await $`npx pg-credits deploy --database-url ${postgres.url}`;
    await $`npx pg-credits verify --database-url ${postgres.url}`;
  } finally {
    await postgres.stop();
    cd(root);
  }
}
