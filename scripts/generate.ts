// Writes what is made from other files: test/schema.snapshot, sql/README.md, migrations/SHA256SUMS.
// With --check it writes nothing, and fails when one of them is not up to date.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { deploy } from './deploy.ts';
import { connect } from './lib/connect.ts';
import { startPostgres } from './lib/embedded.ts';
import { explain } from './lib/explain.ts';
import { checksums, shortDiff } from './lib/generated.ts';
import { readOnly } from './lib/live.ts';
import { packageRoot } from './lib/package.ts';
import { readReference } from './lib/reference.ts';
import { readSnapshot } from './lib/snapshot.ts';

async function fromDatabase(): Promise<{ snapshot: string; reference: string }> {
  const server = await startPostgres({ major: 18 });
  try {
    await deploy({ connectionString: server.url });
    const client = await connect({ connectionString: server.url });
    try {
      return await readOnly(client, async ({ rolePrefix }) => ({
        snapshot: await readSnapshot(client, rolePrefix),
        reference: await readReference(client),
      }));
    } finally {
      await client.end();
    }
  } finally {
    await server.stop();
  }
}

const current = (path: string) =>
  existsSync(join(packageRoot, path)) ? readFileSync(join(packageRoot, path), 'utf8') : '';

async function generate(check: boolean, rewrite: boolean): Promise<number> {
  const sums = 'migrations/SHA256SUMS';
  const files = new Map([[sums, checksums(current(sums), rewrite)]]);
  const { snapshot, reference } = await fromDatabase();
  files.set('test/schema.snapshot', snapshot).set('sql/README.md', reference);
  let stale = 0;
  for (const [path, text] of files) {
    if (text === current(path)) continue;
    stale += 1;
    const diff = check ? shortDiff(current(path), text) : [];
    console.log([check ? `${path} is not up to date:` : `wrote ${path}`, ...diff].join('\n'));
    if (!check) writeFileSync(join(packageRoot, path), text);
  }
  if (check && stale > 0) console.error('run npm run generate, and commit what it changes');
  else if (stale === 0) console.log(`up to date: ${[...files.keys()].join(', ')}`);
  return check && stale > 0 ? 1 : 0;
}

async function main(): Promise<number> {
  const boolean = { type: 'boolean' } as const;
  const { values } = parseArgs({ options: { check: boolean, rewrite: boolean } });
  return generate(values.check ?? false, values.rewrite ?? false);
}

process.exitCode = await main().catch((error) => {
  console.error(explain(error));
  return 1;
});
