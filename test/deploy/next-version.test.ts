import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../scripts/package.ts';
import { prepareCallers, startCallers } from '../../tools/torture/callers.ts';
import { useDatabase } from '../support/database.ts';
import { deployWhileAllWait } from './held-commit.ts';

const db = useDatabase();

/**
 * Private functions that the next version may drop: no public function calls them, and nothing
 * depends on them.
 */
const replaceable = () =>
  db.query<{ name: string; signature: string }>(
    `select p.proname as name, p.oid::regprocedure::text as signature
     from pg_proc as p
     where p.pronamespace = 'credits_private'::regnamespace
       and not exists (select from pg_depend where refobjid = p.oid and deptype = 'n')
       and not exists (
         select from pg_proc as caller where caller.pronamespace = 'credits'::regnamespace
           and caller.prosrc ~ ('credits_private\\.' || p.proname || '\\('))`,
  );

/** This package with other names for those, which a migration drops. */
function nextVersion(functions: { name: string; signature: string }[]): string {
  const root = mkdtempSync(join(tmpdir(), 'pg-credits-next-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const folder of ['migrations', 'sql'])
    cpSync(join(packageRoot, folder), join(root, folder), { recursive: true });
  // This function is of this version: the next version would bring its own.
  rmSync(join(root, 'sql/schema.snapshot'));
  const drops = functions.map(({ signature }) => `drop function ${signature};\n`);
  writeFileSync(join(root, 'migrations/9999_next.sql'), drops.join(''));
  const names = [...new Set(functions.map(({ name }) => name))].join('|');
  const call = new RegExp(`\\bcredits_private\\.(${names})\\b(?=\\s*\\()`, 'g');
  for (const path of readdirSync(join(root, 'sql'), { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.sql')) continue;
    const file = join(root, 'sql', path);
    writeFileSync(file, readFileSync(file, 'utf8').replace(call, 'credits_private.next_$1'));
  }
  return root;
}

test('calls that wait for a deploy are answered by the new version, whatever it has dropped', async () => {
  const functions = await replaceable();
  expect(functions.length).toBeGreaterThan(20);
  const { rolePrefix } = db;
  await prepareCallers(db.url, { rolePrefix });
  const callers = await startCallers(db.url, { rolePrefix });
  await callers.answers(6);
  const root = nextVersion(functions);
  await deployWhileAllWait(db, { rolePrefix, root }, callers.pids);
  await callers.answers(6);
  expect(await callers.stop()).toMatchObject({ errors: [], overtaken: 0, lost: [], unasked: [] });
});
