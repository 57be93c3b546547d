import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readOneMoment } from '../../../scripts/adoption/app/moment.ts';
import { checkMapping } from '../../../scripts/adoption/mapping/check.ts';
import { parseMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { Failure } from '../../../scripts/shell/explain.ts';
import { within } from '../../deploy/fixture.ts';
import { useDatabase } from '../../support/database.ts';
import { legacyMapping, makeIncident } from '../legacy.ts';
import { folder, mappingFile } from '../mappings.ts';

const db = useDatabase({ empty: true });
beforeAll(async () => {
  await makeIncident(await db.connect());
  await db.query(`
    create view public.nobody as select * from public.user_credits where false;
    create table public.fractions as select user_id, balance / 3::numeric as balance from public.user_credits;
    create table public.gaps (user_id text, balance bigint);
    insert into public.gaps values ('acme', null), (null, 1), ('acme', 9007199254740992);
  `);
});

const diagnose = (mapping: string, ...args: string[]) =>
  within(['diagnose', '--database-url', db.url, '--mapping', mapping, ...args]);
/** What every command does first, without the process that it would cost. */
async function check(text: string, role?: string) {
  const client = await db.connect();
  if (role) await client.query(`set role ${role}`);
  const mapping = parseMapping(text, 'pg-credits.yaml');
  await readOneMoment(client, () => checkMapping(client, mapping)).finally(() => client.end());
}
const balances = (table: string, balance = 'balance', more = '') =>
  `balances: { table: ${table}, account_id: user_id, balance: ${JSON.stringify(balance)}${more} }\n`;
const withBalances = (...of: Parameters<typeof balances>) =>
  legacyMapping.replace(/balances:[\s\S]*?(?=transactions:)/, balances(...of));
const replaced = (line: string, by: string) => {
  expect(legacyMapping).toContain(line);
  return legacyMapping.replace(line, by);
};

test.each<[string, () => string, string]>([
  [
    'a missing table',
    () => withBalances('public.wallets'),
    'balances.table: there is no public.wallets',
  ],
  [
    'a table without its schema',
    () => withBalances('user_credits'),
    'balances.table: there is no user_credits: there is public.user_credits',
  ],
  [
    'an unknown column',
    () => withBalances('public.user_credits', 'credits'),
    'balances.balance: column "credits" does not exist',
  ],
  [
    'a wrong type',
    () => replaced('amount: amount', 'amount: kind'),
    'transactions.amount: kind is text: map it to a whole number, like (amount)::numeric, or (amount * 100)::bigint with scale: "2" in accounts',
  ],
  [
    'a moment without its time zone',
    () => replaced('created_at: created_at', `created_at: "created_at at time zone 'UTC'"`),
    `transactions.created_at: created_at at time zone 'UTC' is timestamp without time zone: map it to a moment, like created_at at time zone 'UTC'`,
  ],
  [
    'a condition that is none',
    () => withBalances('public.user_credits', 'balance', ', where: balance'),
    "balances.where: balance is bigint: map it to a condition, like kind = 'refund'",
  ],
  [
    'an expression that is none',
    () => withBalances('public.user_credits', 'balance +'),
    'balances.balance: syntax error at or near ")"',
  ],
  [
    'an expression that fails on a row',
    () => withBalances('public.user_credits', '1 / (balance - balance)'),
    'balances: division by zero',
  ],
  [
    'a view without rows',
    () => withBalances('public.nobody'),
    'balances: public.nobody has no rows',
  ],
  [
    'no rows for the condition',
    () => withBalances('public.user_credits', 'balance', ', where: "false"'),
    'balances: public.user_credits has no rows, or none for its where',
  ],
  [
    'a fraction',
    () => withBalances('public.fractions'),
    'balances: balance has a fraction in 1 row of public.fractions: map all figures in the smallest unit, like (balance * 100)::bigint with scale: "2" in accounts',
  ],
  [
    'a sum with a fraction',
    () => withBalances('public.fractions', 'balance + 1'),
    'balances: balance has a fraction in 1 row of public.fractions: map all figures in the smallest unit, like ((balance + 1) * 100)::bigint with scale: "2" in accounts',
  ],
  [
    'a figure that is a float',
    () => withBalances('public.user_credits', 'balance::float'),
    'balances.balance: balance::float is double precision: map it to a whole number, like (amount)::numeric, or (amount * 100)::bigint with scale: "2" in accounts',
  ],
  [
    'a column that is null, and a figure beyond all bounds',
    () => withBalances('public.gaps'),
    [
      'balances: account_id is null in 1 row of public.gaps: mend or leave them out, with where',
      'mapping: balances: balance is null in 1 row of public.gaps: mend or leave them out, with where',
      'mapping: balances: balance is beyond 2^53 - 1 in 1 row of public.gaps: mend or leave them out, with where',
    ].join('\n'),
  ],
  [
    'two balances of one account',
    () => withBalances('public.gaps', '1', ", where: user_id = 'acme'"),
    'balances: account_id is there before in 1 row of public.gaps: mend or leave them out, with where',
  ],
  [
    'a transaction that is there twice',
    () => replaced('transaction_id: id', 'transaction_id: "1"'),
    'transactions: transaction_id is there before in 72 rows of public.credit_transactions: mend or leave them out, with where',
  ],
])('a mapping is refused with a line that says so: %s', async (_, mapping, line) => {
  await expect(check(mapping())).rejects.toThrow(new Failure(`mapping: ${line}`));
});

test.each<[string, string, RegExp]>([
  ['bad YAML', 'transactions: [', /^pg-credits\.yaml: Flow sequence .* at line 1, column 16$/],
  ['a text', 'hello', /pg-credits\.yaml: it has no transactions$/],
  ['an empty file', '', /pg-credits\.yaml: it has no transactions$/],
  ['no transactions', balances('public.user_credits'), /pg-credits\.yaml: it has no transactions$/],
  [
    'an unknown part',
    `${legacyMapping}\ninvoices: {}`,
    /: unknown part invoices: there are accounts, balances, transactions, counters$/,
  ],
  [
    'an unknown name',
    legacyMapping.replace('reference: reference', 'refrence: reference'),
    /: transactions: unknown refrence: there are table, account_id, /,
  ],
  ['a number', legacyMapping.replace('amount: amount', 'amount: 1'), /: amount is not a text/],
  [
    'what is needed and missing',
    legacyMapping.replace('  amount: amount\n', ''),
    /: transactions: amount is missing$/,
  ],
  [
    'two counters of one name',
    legacyMapping + (legacyMapping.match(/ {2}- name[\s\S]*/)?.[0] ?? ''),
    /: counter monthly_calls_count: there is another of this name$/,
  ],
  [
    'a counter of neither',
    legacyMapping.replace('counts: credits', 'counts: tokens'),
    /: counter monthly_calls_count: counts is credits or calls, not tokens$/,
  ],
])(
  'a mapping is refused with a line that says so, before anything is read: %s',
  async (_, text, line) => {
    const { message } = await check(text).catch((error) => error);
    expect(message).toMatch(line);
    expect(message).not.toContain('\n');
  },
);

test('a mapping whose table has no name that Postgres takes is refused', async () => {
  // Postgres 15 raises what later ones answer.
  await expect(check(withBalances('public..x'))).rejects.toThrow(
    /^mapping: balances\.table: (there is no public\.\.x|public\.\.x is not the name of a table)$/,
  );
});

test('a mapping may turn decimals into the smallest unit, as its error line says', async () => {
  await db.query(`
    create table public.decimals as select user_id, 12.34 as balance from public.user_credits`);
  const text = withBalances('public.decimals', '(balance * 100)::bigint');
  await check(text.replace('accounts:\n', 'accounts:\n  scale: "2"\n'));
});

test('row security that hides rows is reported once for the table, not for each column', async () => {
  const owner = `${db.rolePrefix}secured`;
  await db.query(`
    create table public.secured as select * from public.user_credits;
    create role ${owner}; grant usage on schema public to ${owner};
    grant select on all tables in schema public to ${owner}; alter table public.secured owner to ${owner};
    create policy own on public.secured using (user_id = current_user);
    alter table public.secured enable row level security, force row level security`);
  await expect(check(withBalances('public.secured'), owner)).rejects.toThrow(
    new Failure(
      'mapping: balances.table: query would be affected by row-level security policy for table "secured": connect as a role that sees all rows, like one with bypassrls',
    ),
  );
  await db.query('alter table public.secured no force row level security');
  await check(withBalances('public.secured'), owner);
});

test('a command with a faulty mapping ends with its lines, and writes nothing', async () => {
  const html = join(folder(), 'page.html');
  const mapping = withBalances('public.gaps').replace('amount: amount', 'amount: credits');
  const outcome = await diagnose(mappingFile(mapping), '--html', html);
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(/^(mapping: .*\n){4}$/);
  expect(readdirSync(dirname(html))).toEqual([]);
  const text = await diagnose(mappingFile('transactions: ['));
  expect(text).toMatchObject({ code: 1, stdout: '' });
  expect(text.stderr).toMatch(/^\S.*pg-credits\.yaml: Flow sequence .*\n$/);
});

test('a mapping file that is missing: one line names the command that makes one', async () => {
  const outcome = await diagnose(join(folder(), 'none.yaml'));
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(
    /^there is no mapping .*none\.yaml: pg-credits diagnose --init writes a first one\n$/,
  );
});

test('a mapping may be JSON', async () => {
  const outcome = await diagnose(
    mappingFile(
      JSON.stringify({
        transactions: {
          table: 'public.credit_transactions',
          account_id: 'user_id',
          transaction_id: 'id',
          amount: 'amount',
          created_at: 'created_at',
        },
      }),
    ),
  );
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toMatch(/: 72 debits of 861 in all\n/);
});
