import { afterEach, beforeEach, expect, test } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { type Files, packageWith, small } from './fixture.ts';

let db: Database;
beforeEach(async () => {
  db = await createDatabase({ empty: true });
});
afterEach(() => db.drop());

const files = ['sql/functions/bump.sql', 'sql/views/balances.sql', 'sql/private/next_balance.sql'];
const trigger = 'sql/triggers/accounts.sql';
const triggerText = `create or replace function credits_private.check_balance() returns trigger
language plpgsql set search_path = pg_temp as $$ begin return null; end; $$;
create or replace trigger _100_check after update on credits_private.accounts
for each row execute function credits_private.check_balance();
`;

/** The whole package, with nothing changed but a comment in each file. */
const edition = (n: number) => {
  const all: Files = { ...small, [trigger]: triggerText };
  const changed = [...files, trigger].map((path) => [path, `${all[path]}-- edition ${n}\n`]);
  return packageWith({ ...all, ...Object.fromEntries(changed) });
};

type Caller = string[];
const alone: Caller = [`select credits.bump('acme')`];
const reading = 'select * from credits.balances';
// These hold a lock that the deploy needs, while they wait for one that it holds.
const readsFirst: Caller = ['begin', reading, ...alone, 'commit'];
const readsAfter: Caller = ['begin', ...alone, reading, 'commit'];

test.each([
  ['single calls', [alone]],
  ['transactions that read a view first', [alone, readsFirst]],
  ['transactions that read a view afterwards', [alone, readsAfter]],
])('deploys under load by %s: none fails, and each counts once', async (_, callers) => {
  const rolePrefix = `${db.rolePrefix}load_`;
  const to = { connectionString: db.url };
  await deploy(to, { root: edition(0), rolePrefix });
  let going = true;
  const call = async (statements: Caller) => {
    const client = await db.connect();
    let calls = 0;
    for (; going; calls += 1) for (const statement of statements) await client.query(statement);
    return calls;
  };
  const running = Promise.all(
    Array.from({ length: 8 }, (_, i) => call(callers[i % callers.length] ?? alone)),
  );
  const deploys = async () => {
    for (let n = 1; n <= 10; n += 1) {
      const report = await deploy(to, { root: edition(n), rolePrefix });
      expect(report.files).toEqual(expect.arrayContaining([...files, trigger]));
    }
  };
  const [calls] = await Promise.all([
    running,
    deploys().finally(() => {
      going = false;
    }),
  ]);
  const { balance } = await db.one('select balance from credits.balances');
  expect(balance).toBe(calls.reduce((sum, count) => sum + count, 0));
  expect(Math.min(...calls)).toBeGreaterThan(0);
});
