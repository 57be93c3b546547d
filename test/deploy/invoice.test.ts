import { beforeAll, expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { within } from './fixture.ts';

const db = useDatabase();
let period: string;
const invoice = (...args: string[]) => within(['invoice', '--database-url', db.url, ...args]);

beforeAll(async () => {
  await db.query(`
    select from credits.open_account('acme', 'usd', 2);
    select from credits.grant_credits('acme', 5000, 'g');
    select from credits.deduct_credits('acme', 825, 'd1', 'key-1', 'execute');
    select from credits.deduct_credits('acme', 36, 'd2', null, 'search');
    select from credits.deduct_credits('acme', 9, 'd3');
    select from credits.refund_credits('acme', 4, 'r', 9);
    select from credits.open_account('new')`);
  const row = await db.one(`select period_start from credits.remaining where account_id = 'acme'`);
  period = row.period_start;
});

test('invoice shows the running period in the account’s unit, from opening to closing balance', async () => {
  const outcome = await invoice('acme');
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toBe(`account  acme
period   from ${period}, open: figures may still change
unit     usd, 2 decimal places

opening balance     0.00 usd
+ granted          50.00 usd
- used              8.70 usd
+ refunded          0.09 usd
- expired           0.00 usd
- revoked           0.00 usd
= closing balance  41.39 usd

operation  api key  calls  used  refunded   net
-----------------------------------------------
execute    key-1        1  8.25      0.00  8.25
search     (none)       1  0.36      0.00  0.36
(none)     (none)       1  0.09      0.09  0.00
total                   3  8.70      0.09  8.61
`);
});

test('invoice --json has exact whole numbers', async () => {
  const { stdout } = await invoice('acme', '--json', '--period', period);
  expect(JSON.parse(stdout)).toMatchObject([
    {
      account_id: 'acme',
      unit: 'usd',
      scale: 2,
      period,
      is_open: true,
      opening_balance: 0,
      credits_used: 870,
      credits_refunded: 9,
      net_used: 861,
      closing_balance: 4139,
      calls: 3,
      lines: [
        { operation: 'execute', api_key_id: 'key-1', net_used: 825, calls: 1 },
        { operation: 'search', api_key_id: null, net_used: 36 },
        { operation: null, api_key_id: null, credits_used: 9, credits_refunded: 9, net_used: 0 },
      ],
    },
  ]);
});

test('invoice finds the period that starts in a month, and is empty for an account without entries', async () => {
  const month = await invoice('acme', '--period', period.slice(0, 7));
  expect(month.stdout).toContain(`period   from ${period}, open`);
  const empty = await invoice('new');
  expect(empty.code).toBe(0);
  expect(empty.stdout).toContain('= closing balance  0 credit\n');
});

test('invoice shows all periods that start in one month', async () => {
  // The period is made of nothing but the account's own dates: a day later in the same month begins another.
  const day = period.slice(8) === '28' ? '27' : '28';
  const other = `${period.slice(0, 8)}${day}`;
  await db.query(`alter table credits_private.entries disable trigger user;
    update credits_private.entries set period = '${other}' where entry_id > 4;
    alter table credits_private.entries enable trigger user`);
  const { stdout } = await invoice('acme', '--period', period.slice(0, 7));
  expect(stdout.match(/^period +from .*$/gm)).toHaveLength(2);
  const exact = await invoice('acme', '--period', other);
  expect(exact.stdout.match(/^period +from .*$/gm)).toEqual([
    expect.stringContaining(`from ${other}, `),
  ]);
});

test.each([
  [['nobody'], 1, /^no account 'nobody' in database \S+\n$/],
  [
    ['acme', '--period', '2020-01'],
    1,
    /^account 'acme' has no period 2020-01: the latest are (\d{4}-\d\d-\d\d(, )?)+\n$/,
  ],
  [
    ['acme', '--period', '2026-13'],
    2,
    /^invoice: --period must be a month .*, not 2026-13; see .*\n$/,
  ],
  [['acme', '--period', '2026-02-30'], 2, /^invoice: --period must be .*\n$/],
  [['acme', '--period', 'March'], 2, /^invoice: --period must be .*, not March; see .*\n$/],
  [[], 2, /^invoice: name the account: pg-credits invoice ACCOUNT; see .*\n$/],
  [[''], 2, /^invoice: name the account: /],
  [['acme', 'bob'], 2, /^invoice: one ACCOUNT at a time, not also bob; see .*\n$/],
])('invoice %j: status %i and one line', async (args, code, line) => {
  const outcome = await invoice(...args);
  expect(outcome).toMatchObject({ code, stdout: '' });
  expect(outcome.stderr).toMatch(line);
});

test('invoice without the right to read invoices: one line that says whose it is', async () => {
  const name = `${db.rolePrefix}i_stranger`;
  await db.query(`create role ${name} login password 'p'`);
  const url = new URL(db.url);
  url.username = name;
  url.password = 'p';
  const outcome = await within(['invoice', 'acme', '--database-url', url.href]);
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(/^\S+ may not read credits\.remaining, .*credits_auditor\n$/);
});
