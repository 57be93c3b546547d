import { afterEach, beforeEach, expect, test } from 'vitest';
import { plan } from '../../../scripts/adoption/adopt/run.ts';
import { readParties } from '../../../scripts/adoption/app/parties.ts';
import { readMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { installShadow } from '../../../scripts/adoption/shadow/install.ts';
import * as adopt from '../../../scripts/commands/adopt.ts';
import { runCommand } from '../../../scripts/shell/command.ts';
import { Failure, UsageError } from '../../../scripts/shell/explain.ts';
import { cli } from '../../deploy/fixture.ts';
import { withClient } from '../../support/connection.ts';
import { createDatabase, type Database } from '../../support/database.ts';
import { addAccounts, adoptAll, adoptCommand, createApp, drifted, mappingFile } from '../app.ts';

let db: Database;
beforeEach(async () => {
  db = await createDatabase();
  await createApp(db);
  await addAccounts(db, drifted);
});
afterEach(() => db.drop());

const shadowIsOff =
  'warning: the shadow is not on: what the app writes to app.transactions after an account is adopted is not mirrored\n';

async function installed(file: string) {
  const client = await db.connect();
  await client.query(`begin; set local search_path = ''`);
  await installShadow(client, readMapping(file), await readParties(client));
  await client.query('commit');
}

async function expectNothingWritten() {
  const row = await db.one(
    `select (select count(*)::int from credits_private.accounts) as accounts,
      to_regnamespace('credits_adoption') is null as unmade`,
  );
  expect(row).toEqual({ accounts: 0, unmade: true });
}

test('adopt --plan says what would be booked, and books nothing', async () => {
  const file = mappingFile();
  const outcome = await adoptCommand(db, file, '--plan');
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toBe(`read in a read-only transaction: nothing was written
11 accounts to adopt, with 15 transactions of app.transactions
--book opening: an opening balance for each account, and what the figures differ by, as an entry of its own
by the transactions: 182 in all; 3 accounts in debt, by 43
by the balance: 164 in all; 3 accounts in debt, by 73
3 accounts without a balance: the transactions say what they have
4 accounts differ: 2 balances are higher than the transactions say, by 27 in all; 2 balances are lower than the transactions say, by 45 in all
  --trust transactions  every account gets what its transactions add up to
  --trust balance       every account gets what its balance shows
the largest differences:
account  balance  transactions  balance has more
------------------------------------------------
5            -50           -20               -30
2             90            70               +20
3             55            70               -15
6              7             0                +7
${shadowIsOff}`);
  await expectNothingWritten();
  await installed(file);
  await db.query('drop index app.transactions_of_user');
  const json = await adoptCommand(
    db,
    file,
    '--plan',
    '--json',
    '--book',
    'history',
    '--trust',
    'balance',
  );
  expect(JSON.parse(json.stdout)).toMatchObject({
    accounts: 11,
    transactions: 15,
    begun: 0,
    by: { transactions: { sum: 182 }, balance: { sum: 164, debt: { accounts: 3, amount: 73 } } },
    differences: { higher: { accounts: 2, amount: 27 }, lower: { accounts: 2, amount: 45 } },
    without_balance: 3,
    adopted: 0,
    conflicts: { accounts: 0, first: [] },
    indexed: false,
    shadow: true,
  });
  const text = await adoptCommand(db, file, '--plan', '--trust', 'balance');
  expect(text.stdout).toMatch(
    /\nwarning: app.transactions has no index by account: each batch reads all of it; .*\n$/,
  );
  expect(text.stdout).not.toContain(shadowIsOff);
});

test('adopt with differing figures asks which of them to trust', async () => {
  const file = mappingFile();
  const outcome = await adoptCommand(db, file);
  expect(outcome).toEqual({
    code: 1,
    stdout: '',
    stderr: `4 accounts differ: 2 balances are higher than the transactions say, by 27 in all; 2 balances are lower than the transactions say, by 45 in all: nothing was written; say which is believed
  --trust transactions  every account gets what its transactions add up to
  --trust balance       every account gets what its balance shows
`,
  });
  await expectNothingWritten();
  // Without balances, nothing can differ.
  const done = await adoptCommand(db, mappingFile({ balances: undefined }));
  expect(done).toMatchObject({ code: 0, stderr: shadowIsOff });
});

test('adopt says what it booked, and on a second run that nothing is left to do', async () => {
  const file = mappingFile();
  const outcome = await adoptCommand(db, file, '--trust', 'balance', '--batch', '4');
  expect(outcome).toMatchObject({ code: 0, stderr: shadowIsOff });
  expect(outcome.stdout).toMatch(
    /^adopted 11 accounts in \d+\.\d s: 8 opening balances, 12 entries\ndifferences booked: 2 accounts up by 27, 2 accounts down by 45\nnow check it: pg-credits verify\n$/,
  );
  expect((await adoptCommand(db, file)).stdout).toBe(
    'nothing to do: 11 accounts were adopted before\n',
  );
  expect((await adoptCommand(db, file, '--plan')).stdout).toBe(
    `read in a read-only transaction: nothing was written
0 accounts to adopt, with 0 transactions of app.transactions
11 accounts adopted already
--book opening: an opening balance for each account, and what the figures differ by, as an entry of its own
by the transactions: 0 in all
no account differs
${shadowIsOff}`,
  );
  expect((await cli(['verify', '--database-url', db.url])).code).toBe(0);
});

test('adopt --json prints the report as JSON', async () => {
  const { code, stdout, stderr } = await adoptCommand(
    db,
    mappingFile(),
    '--json',
    '--book',
    'history',
    '--trust',
    'transactions',
  );
  expect(code).toBe(0);
  expect(JSON.parse(stderr)).toEqual({ warning: shadowIsOff.trimEnd().replace('warning: ', '') });
  expect(JSON.parse(stdout)).toEqual({
    book: 'history',
    trust: 'transactions',
    accounts: 11,
    transactions: 15,
    entries: expect.any(Number),
    openings: 0,
    differences: { higher: { accounts: 0, amount: 0 }, lower: { accounts: 0, amount: 0 } },
    adopted_before: 0,
    seconds: expect.any(Number),
    stopped_by: null,
  });
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  'adopt on %s finishes the batch, says how far it came and ends with status %i',
  async (signal, code) => {
    const holder = await db.connect();
    await holder.query('begin');
    await holder.query(`select credits_private.begin_import('3')`);
    const running = adoptCommand(db, mappingFile(), '--trust', 'balance', '--batch', '2');
    const said = (word: string) =>
      new Promise<void>((resolve) => {
        running.child.stderr?.on('data', (data) => String(data).includes(word) && resolve());
      });
    await blocked();
    const noticed = said(signal);
    running.child.kill(signal);
    await noticed;
    await holder.query('commit');
    const outcome = await running;
    expect(outcome.code).toBe(code);
    expect(outcome.stderr).toBe(
      `${shadowIsOff}${signal}: stopping after the batch that is running; a second one stops at once\n`,
    );
    expect(outcome.stdout).toMatch(
      /^adopted 6 accounts in .*\n.*\ninterrupted: run it again for the rest\n$/,
    );
  },
);

/** Until the command waits for a lock: seen, not slept for. */
async function blocked() {
  for (;;) {
    const rows = await db.query(
      `select pid from pg_stat_activity where datname = current_database()
       and application_name = 'pg-credits' and wait_event_type = 'Lock'`,
    );
    if (rows.length > 0) return;
  }
}

test('adopt retries a lock that it did not get in time, but not for ever', async () => {
  const holder = await db.connect();
  await holder.query('begin');
  await holder.query(`select credits_private.begin_import('3')`);
  const url = new URL(db.url);
  url.searchParams.set('options', '-c lock_timeout=50ms');
  const args = [
    'adopt',
    '--database-url',
    url.href,
    '--mapping',
    mappingFile(),
    '--trust',
    'balance',
    '--batch',
    '2',
  ];
  const outcome = await cli(args);
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(
    /\ncanceling statement due to lock timeout: .*; 4 accounts had been adopted: run it again for the rest\n$/,
  );
  await holder.query('rollback');
  expect((await cli(args)).stdout).toMatch(/^adopted 7 accounts in /);
});

test('adopt tells a user without superuser rights in one line which privilege is missing, until none is', async () => {
  const role = `${db.rolePrefix}adopter`;
  await db.query(`create role ${role} login password 'p'`);
  await db.query(`grant usage on schema app to ${role}`);
  await db.query(`grant select on app.users, app.transactions to ${role}`);
  const url = Object.assign(new URL(db.url), { username: role, password: 'p' }).href;
  const run = () =>
    withClient(url, (client) => adoptAll(db, { book: 'opening', trust: 'balance' }, { client }));
  const says = async (line: RegExp) => {
    const message = await run().then(String, (error) => error.message);
    expect(message).toMatch(line);
    return line.exec(message)?.[1] ?? '';
  };
  const grant = await says(
    /^\w+adopter may not act as \w+credits_owner, who has the ledger: an administrator must run: (grant "\w+credits_owner" to "\w+adopter".*;)$/,
  );
  await db.query(grant);
  await says(/^mapping: balances.table: permission denied for table wallets$/);
  await db.query(`grant select on app.wallets to ${role}`);
  await db.query('alter table app.transactions enable row level security');
  await says(/row-level security policy for table "transactions"/);
  await db.query('alter table app.transactions disable row level security');
  const create = await says(
    /^\w+adopter may not create the schema credits_adoption: an administrator must run: (grant create on database "\w+" to "\w+adopter";)$/,
  );
  expect(await withClient(url, (client) => plan(client, readMapping(mappingFile())))).toMatchObject(
    { accounts: 11n },
  );
  await db.query(create);
  expect(await run()).toMatchObject({ accounts: 11n });
  expect(await run()).toMatchObject({ accounts: 0n, adopted_before: 11n });
});

test.each([
  [
    'a database without pg-credits',
    '',
    /^no pg-credits in database \S+: run pg-credits deploy first\n$/,
  ],
  [
    'one that was deployed before there was an import',
    'drop function credits_private.begin_import(text)',
    /^the deployed pg-credits cannot import yet: run pg-credits deploy first\n$/,
  ],
])('%s: one line', async (_, change, line) => {
  const other = change === '' ? await createDatabase({ empty: true }) : db;
  if (change !== '') await db.query(change);
  const outcome = await adoptCommand(other, mappingFile(), '--plan');
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(line);
  if (other !== db) await other.drop();
});

test('adopt names the account and the reason when the ledger refuses a transaction', async () => {
  await db.query(`update app.transactions set api_key = repeat('x', 300) where id = '3 t1'`);
  const outcome = await adoptCommand(
    db,
    mappingFile(),
    '--book',
    'history',
    '--trust',
    'balance',
    '--batch',
    '1',
  );
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr.replace(shadowIsOff, '')).toBe(
    'account 3: api_key_id: an id must have 1 to 255 bytes; 4 accounts had been adopted: run it again for the rest\n',
  );
});

test('adopt answers wrong arguments and mappings with one line, and writes nothing', async () => {
  const file = mappingFile();
  const noBalances = mappingFile({ balances: undefined });
  const wrong = mappingFile({ transactions: { table: 'app.movements' } });
  const cases: [string[], typeof Failure, RegExp][] = [
    [[file, '--book', 'diary'], UsageError, /^--book must be opening or history, not diary$/],
    [[file, '--trust', 'me'], UsageError, /^--trust must be transactions or balance, not me$/],
    [[file, '--batch', '0'], UsageError, /^--batch must be at least 1, not 0$/],
    [[file, '--batch', 'all'], UsageError, /^--batch must be a whole number, not all$/],
    [[file, 'now'], UsageError, /^Unexpected argument 'now'/],
    [[file, '--dry-run'], UsageError, /^Unknown option '--dry-run'$/],
    [
      [noBalances, '--trust', 'balance'],
      UsageError,
      /^--trust balance needs balances, or balance_after, in the mapping$/,
    ],
    [['nowhere.yaml'], Failure, /^there is no mapping nowhere.yaml: pg-credits diagnose --init /],
    [[wrong], Failure, /^mapping: transactions.table: there is no app.movements$/],
  ];
  for (const [[mapping = '', ...args], kind, line] of cases) {
    const failed = runCommand(adopt, [
      '--database-url',
      db.url,
      '--mapping',
      mapping,
      '--plan',
      ...args,
    ]);
    const error = await failed.catch((reason) => reason);
    expect(error.constructor).toBe(kind);
    expect(error.message).toMatch(line);
  }
  await expectNothingWritten();
});

test('wrong usage of adopt ends with status 2', async () => {
  const outcome = await adoptCommand(db, mappingFile(), '--book', 'diary');
  expect(outcome).toEqual({
    code: 2,
    stdout: '',
    stderr: 'adopt: --book must be opening or history, not diary; see pg-credits adopt --help\n',
  });
});

test('adopt --help lists the options', async () => {
  const { code, stdout } = await cli(['adopt', '--help']);
  expect(code).toBe(0);
  for (const option of ['--mapping', '--plan', '--book', '--trust', '--batch', '--json'])
    expect(stdout).toContain(`\n  ${option} `);
});
