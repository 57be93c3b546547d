import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../scripts/package.ts';
import { orFail, runProcess } from '../../scripts/shell/command.ts';
import { parseOptions } from '../../scripts/shell/options.ts';
import { fromDatabase, snapshotPath } from './database.ts';
import { checksums, shortDiff } from './generated.ts';

const help = `npm run generate: write the files that are made from others

They are sql/schema.snapshot, sql/README.md and migrations/SHA256SUMS.
Exit status: 0 done, 1 it failed, or with --check a file is not up to date, 2 wrong usage.

  --check       write nothing, and fail if a file is not up to date
  --rewrite     accept a change of a migration that is not released yet
  -h, --help    show this text`;

const current = (path: string) =>
  existsSync(join(packageRoot, path)) ? readFileSync(join(packageRoot, path), 'utf8') : '';

async function generate(check: boolean, rewrite: boolean): Promise<number> {
  const sums = 'migrations/SHA256SUMS';
  const files = new Map([[sums, checksums(current(sums), rewrite)]]);
  const { snapshot, reference } = await fromDatabase();
  files.set(snapshotPath, snapshot).set('sql/README.md', reference);
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

async function main(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    check: { type: 'boolean' },
    rewrite: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  return generate(values.check ?? false, values.rewrite ?? false);
}

await runProcess((args) => orFail(main(args), args, 'npm run generate -- --help'));
