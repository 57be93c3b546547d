import { expect, test } from 'vitest';
import { createDatabase, useDatabase } from '../support/database.ts';
import { within } from './fixture.ts';

const db = useDatabase();

test('status says what is deployed and how the accounts stand', async () => {
  await db.query(`
    select from credits.open_account('dollars', 'usd', 2);
    select from credits.grant_credits('dollars', 861, 'g');
    select from credits.grant_credits('acme', 7, 'g');
    select from credits.deduct_credits('acme', 2, 'd');
    select from credits.grant_credits('huge', 9007199254740991, 'g');
    select from credits.grant_credits('huge too', 9007199254740991, 'g')`);
  const outcome = await within(['status', '--database-url', db.url]);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  const lines = outcome.stdout.trimEnd().split('\n');
  expect(lines).toEqual([
    expect.stringMatching(`^database {7}${db.name} \\(Postgres \\d+\\.\\d+.*\\)$`),
    expect.stringMatching(/^pg-credits {5}\d+\.\d+\.\d+\S*$/),
    `owner          ${db.rolePrefix}credits_owner`,
    'schema         up to date',
    'accounts       4',
    'entries        5',
    'due            nothing: all accounts are settled',
    'balance        18,014,398,509,481,987 credit in 3 accounts',
    'balance        8.61 usd in 1 account',
    'discrepancies  not looked for: pg-credits verify does that',
  ]);
  const json = await within(['status', '--json', '--database-url', db.url]);
  expect(json.stdout).toContain('"balance": 18014398509481987');
  expect(JSON.parse(json.stdout)).toMatchObject({
    pending_migrations: [],
    differing_files: [],
    accounts: 4,
    entries: 5,
    due_accounts: 0,
    due_since: null,
  });
});

test('status names files that differ, and accounts that are due', async () => {
  const other = await createDatabase();
  try {
    await other.query(`select from credits.open_account('acme')`);
    await other.query(`update credits_private.accounts set due_at = '2026-03-01 00:00:00Z'`);
    await other.query(
      `update credits_private.applied_files set checksum = '0' where path = 'sql/roles.sql'`,
    );
    const { stdout } = await within(['status', '--database-url', other.url]);
    expect(stdout).toContain(
      'schema         not as in this package: sql/roles.sql; run pg-credits deploy\n',
    );
    expect(stdout).toContain(
      'due            1 account, the longest since 2026-03-01 00:00:00 UTC; their next call settles them',
    );
    await other.query(
      `insert into credits_private.migrations (name, run_on) values ('9999_x', now())`,
    );
    const ahead = await within(['status', '--database-url', other.url]);
    expect(ahead.stdout).toContain('schema         ahead of this package (migration 9999_x): use');
  } finally {
    await other.drop();
  }
});

test('status shows an auditor what views show, and says what is left out', async () => {
  const name = `${db.rolePrefix}s_member`;
  await db.query(`create role ${name} login password 'p' in role ${db.rolePrefix}credits_auditor`);
  const url = new URL(db.url);
  url.username = name;
  url.password = 'p';
  await db.query(
    `update credits_private.accounts set due_at = '2026-03-01 00:00:00Z'
     where account_id = (select min(account_id) from credits_private.accounts)`,
  );
  const { code, stdout } = await within(['status', '--database-url', url.href]);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /\nschema +as in this package; what was applied is not visible to this user\naccounts +4\nentries +5\n/,
  );
  // When something became due, as the owner sees it.
  const owner = await within(['status', '--database-url', db.url]);
  const due = /^due .*$/m;
  expect(due.exec(owner.stdout)?.[0]).toMatch(/\d+ accounts?, .* since \d{4}-/);
  expect(due.exec(stdout)?.[0]).toBe(due.exec(owner.stdout)?.[0]);
});

test('status of a database without pg-credits: one line', async () => {
  const empty = await createDatabase({ empty: true });
  try {
    const outcome = await within(['status', '--database-url', empty.url]);
    expect(outcome).toMatchObject({ code: 1, stdout: '' });
    expect(outcome.stderr).toMatch(
      /^no pg-credits in database \S+: run pg-credits deploy first\n$/,
    );
  } finally {
    await empty.drop();
  }
});
