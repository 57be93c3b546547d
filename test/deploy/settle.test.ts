import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectNoDiscrepancies, lockRow, times } from '../concurrency/race.ts';
import { grantAt } from '../support/calls.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { DAY, us } from '../support/time.ts';
import { cli, type Running } from './fixture.ts';

let db: Database;
beforeEach(async () => {
  db = await createDatabase();
});
afterEach(() => db.drop());

const settle = (...args: string[]) => cli(['settle', '--database-url', db.url, ...args]);
const nothing = 'nothing was due, except perhaps accounts that others are using\n';

/** Accounts 'due 1', 'due 2', … whose credits expired long ago, one day after the other. */
const openDue = (count: number) =>
  Promise.all(
    times(count, (i) => {
      const expires = us('2024-01-20T00:00:00Z') + i * DAY;
      return grantAt(db, `due ${i + 1}`, expires - DAY, { key: 'grant', amount: 10, expires });
    }),
  );

/** How many expiries were booked for each account, by the account's number. */
const expiries = async () => {
  const rows = await db.query(
    `select a.account_id, count(e.entry_id) filter (where e.kind = 'expiry') as expiries
     from credits_private.accounts a left join credits.entries e using (account_id)
     group by a.account_id order by substr(a.account_id, 5)::int`,
  );
  return rows.map((row) => row.expiries);
};

function as(url: string, user: string | null, options?: string): string {
  const changed = new URL(url);
  if (user !== null) Object.assign(changed, { username: user, password: 'p' });
  if (options !== undefined) changed.searchParams.set('options', options);
  return changed.href;
}

/** Until so many of the commands wait for a lock: seen, not slept for. */
async function blocked(count = 1): Promise<{ pid: number; xact_start: Date }[]> {
  for (;;) {
    const rows = await db.query(
      `select pid, xact_start from pg_stat_activity where datname = current_database()
       and application_name = 'pg-credits' and wait_event_type = 'Lock'`,
    );
    if (rows.length === count) return rows;
    await sleep(5);
  }
}

/**
 * A session that makes whoever settles that account, or any account, wait until the session ends.
 */
async function stopAt(account?: string): Promise<pg.Client> {
  const holder = await db.connect();
  await holder.query('begin');
  if (account === undefined)
    await holder.query('lock table credits_private.accounts in exclusive mode');
  else
    await holder.query(
      'select from credits_private.grants where account_id = $1 for no key update',
      [account],
    );
  return holder;
}

const said = (running: Running, word: string) =>
  new Promise<void>((resolve) => {
    running.child.stderr?.on('data', (data) => {
      if (String(data).includes(word)) resolve();
    });
  });

test('settle books everything that is due, in batches, and on a second run says that nothing was', async () => {
  await openDue(25);
  await grantAt(db, 'due 26', Date.now() * 1000, { key: 'grant', amount: 10 });
  const first = await settle('--batch', '10');
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toMatch(/^settled 25 accounts in \d+\.\d s\n$/);
  expect(await settle()).toEqual({ code: 0, stderr: '', stdout: nothing });
  expect(await expiries()).toEqual([...times(25, () => 1), 0]);
  await expectNoDiscrepancies(db);
});

test('settle --json --max-accounts settles those that are due longest first', async () => {
  await openDue(5);
  const settled = async (...args: string[]) => {
    const outcome = await settle('--json', ...args);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    return JSON.parse(outcome.stdout);
  };
  const seconds = expect.any(Number);
  const some = await settled('--batch', '2', '--max-accounts', '3');
  expect(some).toEqual({ settled: 3, seconds, stopped_by: 'max_accounts', not_settled: [] });
  expect(await expiries()).toEqual([1, 1, 1, 0, 0]);
  const more = await settle('--max-accounts', '1');
  expect(more.stdout).toMatch(
    /^settled 1 account in .* s, as many as asked for: more may be due\n$/,
  );
  expect(await settled()).toEqual({ settled: 1, seconds, stopped_by: null, not_settled: [] });
  expect(await settled()).toEqual({ settled: 0, seconds, stopped_by: null, not_settled: [] });
});

test('three runs of settle at once share the work', async () => {
  await openDue(90);
  const holder = await stopAt();
  const running = times(3, () => settle('--json', '--batch', '5'));
  await blocked(3);
  await holder.query('rollback');
  const outcomes = await Promise.all(running);
  expect(outcomes.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
    times(3, () => ({ code: 0, stderr: '' })),
  );
  const counts = outcomes.map(({ stdout }) => JSON.parse(stdout).settled);
  expect(counts.reduce((sum, count) => sum + count)).toBe(90);
  expect(await expiries()).toEqual(times(90, () => 1));
  await expectNoDiscrepancies(db);
});

test('settle never repeats a batch because of other calls, whatever its user’s isolation level', async () => {
  await openDue(3);
  const holder = await stopAt('due 2');
  const url = as(db.url, null, '-c default_transaction_isolation=serializable');
  const running = cli(['settle', '--database-url', url]);
  await blocked();
  const { now } = await db.one('select clock_timestamp() as now');
  await db.query(`select from credits.settle_account('due 3')`);
  await holder.query('rollback');
  expect((await running).stdout).toMatch(/^settled 2 accounts in /);
  const { created_at } = await db.one(
    `select created_at from credits.entries where account_id = 'due 1' and kind = 'expiry'`,
  );
  expect(created_at.getTime()).toBeLessThanOrEqual(now.getTime());
});

test('settle leaves a locked account alone, without waiting for it', async () => {
  await openDue(3);
  const holder = await db.connect();
  await holder.query('begin');
  await holder.query(lockRow, ['due 2']);
  expect((await settle()).stdout).toMatch(/^settled 2 accounts in /);
  expect((await settle()).stdout).toBe(nothing);
  await holder.query('commit');
  expect((await settle()).stdout).toMatch(/^settled 1 account in /);
  expect(await expiries()).toEqual([1, 1, 1]);
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  'settle on %s finishes the batch, says how far it came and ends with status %i',
  async (signal, code) => {
    await openDue(6);
    for (const [args, account, counts] of [
      [['--json'], 'due 2', [1, 1, 0, 0, 0, 0]],
      [[], 'due 5', [1, 1, 1, 1, 1, 1]],
    ] as const) {
      const holder = await stopAt(account);
      const running = settle('--batch', '2', ...args);
      await blocked();
      const noticed = said(running, signal);
      running.child.kill(signal);
      await noticed;
      await holder.query('rollback');
      const outcome = await running;
      expect(outcome.code).toBe(code);
      const line = `${signal}: stopping after the batch that is running; a second one stops at once`;
      if (args.length > 0) {
        expect(JSON.parse(outcome.stderr)).toEqual({ progress: line });
        expect(JSON.parse(outcome.stdout)).toMatchObject({ settled: 2, stopped_by: signal });
      } else {
        expect(outcome.stderr).toBe(`${line}\n`);
        expect(outcome.stdout).toMatch(
          /^interrupted: settled 4 accounts in \d+\.\d s; the next run does the rest\n$/,
        );
      }
      expect(await expiries()).toEqual(counts);
    }
  },
);

test('settle ends at once at a second signal', async () => {
  await openDue(1);
  await stopAt();
  const running = settle();
  await blocked();
  const again = setInterval(() => running.child.kill('SIGINT'), 50);
  const outcome = await running.finally(() => clearInterval(again));
  expect(outcome).toMatchObject({ code: 130, stdout: '' });
});

test('settle retries a lock that it did not get in time', async () => {
  await openDue(2);
  const holder = await stopAt();
  const running = cli(['settle', '--database-url', as(db.url, null, '-c lock_timeout=100ms')]);
  const attempts = new Set<number>();
  while (attempts.size < 2)
    for (const { xact_start } of await blocked()) attempts.add(xact_start.getTime());
  await holder.query('rollback');
  expect(await running).toMatchObject({ code: 0, stderr: '' });
  expect(await expiries()).toEqual([1, 1]);
});

test('settle does not retry a lock for ever: one line', async () => {
  await openDue(1);
  await stopAt();
  const url = as(db.url, null, '-c lock_timeout=100ms');
  const outcome = await cli(['settle', '--database-url', url]);
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(/^canceling statement due to lock timeout: .*try again later\n$/);
});

test('settle whose connection is lost: one line with how far it came', async () => {
  await openDue(4);
  await stopAt('due 3');
  const running = settle('--batch', '1');
  const [backend] = await blocked();
  await db.query('select pg_terminate_backend($1)', [backend?.pid]);
  const outcome = await running;
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(
    /^lost the connection to the server \(.*\); 2 accounts had been settled: run it again for the rest\n$/,
  );
  expect(await expiries()).toEqual([1, 1, 0, 0]);
});

test('settle without the privilege: one line with the only grant that is needed', async () => {
  await openDue(2);
  const name = `${db.rolePrefix}settler`;
  await db.query(`create role ${name} login password 'p'`);
  const args = ['settle', '--database-url', as(db.url, name)];
  const outcome = await cli(args);
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  const line =
    /^permission denied for schema credits: an administrator must run: (grant "\w*credits_granter" to "\w+";)\n$/;
  expect(outcome.stderr).toMatch(line);
  await db.query(`grant ${db.rolePrefix}credits_auditor to ${name}`);
  expect((await cli(args)).stderr).toMatch(/^permission denied for function settle_due: an admin/);
  await db.query(line.exec(outcome.stderr)?.[1] ?? '');
  expect((await cli(args)).stdout).toMatch(/^settled 2 accounts in /);
});

test('settle in a database without pg-credits: one line', async () => {
  const empty = await createDatabase({ empty: true });
  try {
    const outcome = await cli(['settle', '--database-url', empty.url]);
    expect(outcome).toMatchObject({ code: 1, stdout: '' });
    expect(outcome.stderr).toMatch(
      /^no pg-credits in database \S+: run pg-credits deploy first\n$/,
    );
  } finally {
    await empty.drop();
  }
});

test.each([
  [['--batch', '0'], /^settle: --batch must be at least 1, not 0; see pg-credits settle --help\n$/],
  [['--batch', 'many'], /^settle: --batch must be a whole number, not many; see .*\n$/],
  [['--batch=-1'], /^settle: --batch must be a whole number, not -1; see .*\n$/],
  [['--batch', '1000000000000'], /^settle: --batch must be a whole number, not .*\n$/],
  [['--max-accounts', '0'], /^settle: --max-accounts must be at least 1, not 0; see .*\n$/],
  [['acme'], /^settle: Unexpected argument 'acme'.*\n$/],
])('settle %j is refused with one line and status 2', async (args, line) => {
  const outcome = await settle(...args);
  expect(outcome).toMatchObject({ code: 2, stdout: '' });
  expect(outcome.stderr).toMatch(line);
});

test('settle --help lists the options', async () => {
  const { code, stdout } = await cli(['settle', '--help']);
  expect(code).toBe(0);
  for (const option of ['--batch', '--max-accounts', '--database-url', '--json'])
    expect(stdout).toContain(`\n  ${option} `);
});

test('settle names an account that cannot be settled once, and its exit status says so', async () => {
  await openDue(3);
  const gone = 'due 2 was not settled: ';
  await grantAt(db, gone, us('2024-01-01T00:00:00Z'), { key: 'grant', amount: 10 });
  await db.query(
    `update credits_private.accounts set time_zone = 'US/Gone' where account_id = $1`,
    [gone],
  );
  const outcome = await settle('--batch', '1');
  expect(outcome).toMatchObject({ code: 3, stdout: expect.stringMatching(/^settled 3 accounts/) });
  expect(outcome.stderr).toMatch(
    /^not settled: due 2 was not settled: : time zone "US\/Gone" not recognized\. .*update .*;\n$/,
  );
  // After its pause, a second time.
  await db.query(`update credits_private.settle_failures set retry_at = now()`);
  const again = await settle('--json');
  expect(again.code).toBe(3);
  expect(JSON.parse(again.stdout).not_settled).toMatchObject([{ account_id: gone }]);
  await db.query(`update credits_private.accounts set time_zone = 'UTC' where account_id = $1`, [
    gone,
  ]);
  await db.query(`update credits_private.settle_failures set retry_at = now()`);
  expect(await settle()).toMatchObject({ code: 0, stderr: '' });
});
