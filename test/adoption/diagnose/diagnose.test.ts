import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import * as diagnoseCommand from '../../../scripts/commands/diagnose.ts';
import { runCommand } from '../../../scripts/shell/command.ts';
import { UsageError } from '../../../scripts/shell/explain.ts';
import { within } from '../../deploy/fixture.ts';
import { useDatabase } from '../../support/database.ts';
import { legacyMapping, makeIncident } from '../legacy.ts';
import { folder, mappingFile } from '../mappings.ts';

const db = useDatabase({ empty: true });
beforeAll(async () => makeIncident(await db.connect()));

const diagnose = (...args: string[]) => within(['diagnose', '--database-url', db.url, ...args]);

/** Figures and words, without the space that lines them up. */
const rows = (text: string) => text.split('\n').map((line) => line.trim().replace(/ {2,}/g, ' | '));

test('the incident, with the mapping that --init writes: 861, 416, 36, 445, and both causes', async () => {
  const mapping = join(folder(), 'pg-credits.yaml');
  const init = await diagnose('--init', '--mapping', mapping);
  expect(init).toMatchObject({ code: 0, stderr: '' });
  expect(init.stdout).toContain('public.api_keys: monthly_calls_count, taken to count credits');

  const outcome = await diagnose('--mapping', mapping);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  const [first, second, ...lines] = rows(outcome.stdout);
  expect(first).toMatch(/^database \S+: reads only: one read-only transaction as of 20\S+Z$/);
  expect(second).toBe(
    '1 account, of which 1 disagrees; 73 transactions from 2026-03-01 to 2026-03-30: 72 debits of 861 in all',
  );
  expect(lines.filter((line) => !line.startsWith('---'))).toEqual([
    '',
    'surface | says | transactions | over | under | accounts',
    'balance | 139 | 139 | 0 | 0 | 0',
    'last balance_after | 139 | 139 | 0 | 0 | 0',
    'counter monthly_calls_count | 416 | 861 | 0 | 445 | 1',
    'calls with an API key | 36 | 72 | 0 | 36 | 1',
    'remaining quota by monthly_calls_count | 445 | 0 | 1',
    '',
    'likely cause | of | transactions | makes it differ by | accounts',
    'calls that cost more counted as 1 | counter monthly_calls_count | -409 | 1',
    'debits without an API key | counter monthly_calls_count | 36 | -36 | 1',
    'debits without an API key | calls with an API key | 36 | -36 | 1',
    '',
    'account | drift | balance | last balance_after | counter monthly_calls_count | calls with an API key | causes',
    'acme | 445 | 139 | 139 | 416 for 861 | 36 for 72 | debits without an API key, calls that cost more counted as 1',
    '',
  ]);
});

test('diagnose --json lists every account that disagrees, then the totals, and --check ends with status 3', async () => {
  const outcome = await diagnose('--mapping', mappingFile(legacyMapping), '--json', '--check');
  expect(outcome).toMatchObject({ code: 3, stderr: '' });
  const { accounts, totals, ...rest } = JSON.parse(outcome.stdout);
  expect(rest).toEqual({ database: db.name, as_of: expect.any(String), read_only: true });
  const counter = 'counter monthly_calls_count';
  const causes = [
    { surface: counter, cause: 'debits_without_api_key', rows: 36, effect: -36 },
    { surface: counter, cause: 'counted_as_one', rows: null, effect: -409 },
    { surface: 'api_key_calls', cause: 'debits_without_api_key', rows: 36, effect: -36 },
  ];
  const figures = { transactions: 73, debits: 72, debited: 861, refunded: 0 };
  const [first_at, last_at] = ['2026-03-01T00:00:00.000Z', '2026-03-30T14:37:00.000Z'];
  expect(accounts).toEqual([
    {
      account_id: 'acme',
      drift: 445,
      ...figures,
      first_at,
      last_at,
      surfaces: [
        { surface: 'balance', unit: 'credits', says: 139, should: 139 },
        { surface: 'balance_after', unit: 'credits', says: 139, should: 139 },
        { surface: counter, unit: 'credits', says: 416, should: 861 },
        { surface: 'api_key_calls', unit: 'calls', says: 36, should: 72 },
      ],
      causes,
    },
  ]);
  expect(totals).toMatchObject({ accounts: 1, disagreeing: 1, ...figures });
  const [keyless, asOne, keys] = causes.map((cause) => ({ ...cause, accounts: 1 }));
  expect(totals.causes).toEqual([asOne, keyless, keys]);
});

test('diagnose says so when everything agrees, and --check ends with status 0', async () => {
  const mapping = mappingFile(
    legacyMapping.replace(/counters:[\s\S]*/, '').replace(/.*api_key_id.*\n/, ''),
  );
  const outcome = await diagnose('--mapping', mapping, '--check');
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(rows(outcome.stdout).slice(-2)).toEqual(['all surfaces agree, on 1 account', '']);
  const json = await diagnose('--mapping', mapping, '--check', '--json');
  expect(json.code).toBe(0);
  expect(JSON.parse(json.stdout)).toMatchObject({ accounts: [], totals: { disagreeing: 0 } });
});

test('diagnose says so when only transactions are mapped, and --check fails', async () => {
  const mapping = mappingFile(
    legacyMapping
      .replace(/balances:[\s\S]*?(?=transactions:)/, '')
      .replace(/counters:[\s\S]*/, '')
      .replace(/.*(api_key_id|balance_after).*\n/g, ''),
  );
  const html = join(folder(), 'page.html');
  const outcome = await diagnose('--mapping', mapping, '--check', '--html', html);
  expect(outcome).toMatchObject({ code: 3, stderr: '' });
  expect(rows(outcome.stdout).slice(1)).toEqual([
    '1 account, of which 0 disagree; 73 transactions from 2026-03-01 to 2026-03-30: 72 debits of 861 in all',
    '',
    'nothing to compare: map balances or counters',
    '',
  ]);
  expect(readFileSync(html, 'utf8')).toContain(
    '<h1>Nothing to compare: map balances or counters</h1>',
  );
});

test('an infinite moment falls into no period, and onto no day of the page', async () => {
  await db.query(`
    create table public.endless as select * from public.credit_transactions where amount > 0;
    update public.endless set created_at = 'infinity';
    insert into public.endless
    select id - 100, user_id, 3, 'purchase', null, null, null, null, 3, '-infinity' from public.endless`);
  const mapping = mappingFile(
    legacyMapping
      .replace('public.credit_transactions', 'public.endless')
      .replace(/counters:[\s\S]*/, ''),
  );
  const html = join(folder(), 'page.html');
  const outcome = await diagnose('--mapping', mapping, '--html', html);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(rows(outcome.stdout)[1]).toMatch(/^1 account, of which 1 disagrees; 2 transactions: /);
  const page = readFileSync(html, 'utf8');
  expect(page).toContain('Nothing of it has a date');
  expect(page).not.toMatch(/NaN|infinity/i);
  const json = await diagnose('--mapping', mapping, '--json');
  expect(JSON.parse(json.stdout).totals).toMatchObject({ first_at: null, last_at: null });

  await db.query(`
    insert into public.endless
    select id + 1, user_id, 1, 'purchase', null, null, null, null, 4, '2026-03-02' from public.endless where amount = 3`);
  const more = await diagnose('--mapping', mapping, '--html', html);
  expect(rows(more.stdout)[1]).toContain('; 3 transactions from 2026-03-02 to 2026-03-02: ');
  expect(readFileSync(html, 'utf8')).not.toMatch(/NaN|infinity/i);
});

test('diagnose mentions possible duplicates without a reference, and does not fail for them', async () => {
  await db.query(`
    create table public.batch as
    select n as id, 'acme' as user_id, case when n = 0 then 100 else -5 end as amount, now() as created_at
    from generate_series(0, 3) as n;
    create table public.batch_balances as select 'acme' as user_id, 85 as balance`);
  const mapping = mappingFile(`
balances: { table: public.batch_balances, account_id: user_id, balance: balance }
transactions:
  { table: public.batch, account_id: user_id, transaction_id: id, amount: amount, created_at: created_at }`);
  const outcome = await diagnose('--mapping', mapping, '--check');
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(rows(outcome.stdout).slice(-8)).toEqual([
    '',
    'likely cause | of | transactions | makes it differ by | accounts',
    expect.stringMatching(/^-+$/),
    'transactions that may be booked twice | balance | 2 | 0 | 1',
    'alike and of one moment (a reference, mapped, would tell whether they are booked twice): the balance has 0 of them once, 2 twice',
    '',
    'all surfaces agree, on 1 account',
    '',
  ]);
});

test('diagnose only reads, whatever the mapping’s expressions do', async () => {
  await db.query(`
    create table public.calls_seen (call int);
    create function public.count_itself() returns bigint language sql
    as 'insert into public.calls_seen values (1) returning 1::bigint'`);
  const mapping = mappingFile(
    legacyMapping.replace('balance: balance\n', 'balance: public.count_itself()\n'),
  );
  const outcome = await diagnose('--mapping', mapping);
  expect(outcome).toEqual({
    code: 1,
    stdout: '',
    stderr: 'mapping: balances: cannot execute INSERT in a read-only transaction\n',
  });
  expect(await db.query('select from public.calls_seen')).toEqual([]);
});

test.each([
  [['--top', 'many'], '--top must be a whole number, not many'],
  [['--init', '--check'], '--init only writes a mapping'],
  [['--html'], '--html has no value'],
])('diagnose %j is wrong usage', async (args, line) => {
  const error = await runCommand(diagnoseCommand, args).catch((error) => error);
  expect(error).toBeInstanceOf(UsageError);
  expect(error.message).toContain(line);
});

test('diagnose --html writes one page with the figures, which needs nothing else', async () => {
  const html = join(folder(), 'page.html');
  writeFileSync(html, 'an older one');
  const outcome = await diagnose('--mapping', mappingFile(legacyMapping), '--html', html);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  const page = readFileSync(html, 'utf8');
  expect(page).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
  expect(page).toContain('<h1>1 of 1 account disagrees</h1>');
  expect(page).toContain('72 debits of 861 credits in all');
  expect(page).toContain('<b class="off">416</b> for 861');
  expect(page).toContain('debits without an API key: +36 in all');
  expect(page).toMatch(/<polyline class="second" points="[\d., ]+"\/>/);
  expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  expect(page).not.toMatch(/<script|<link|<img|url\(|@import|\bsrc=|\bhref=|https?:|\bon\w+=/i);
  expect(readdirSync(dirname(html))).toEqual(['page.html']);
});

test('diagnose --html shows a user’s id as text, whatever is in it', async () => {
  const id = `<img src=x onerror="alert('1')">&amp;\u202e`;
  await db.query(`insert into public.users values ($1, 'x@example.com', 0, now())`, [id]);
  await db.query('insert into public.user_credits values ($1, 7, now())', [id]);
  const html = join(folder(), 'page.html');
  const outcome = await diagnose('--mapping', mappingFile(legacyMapping), '--html', html);
  await db.query('delete from public.user_credits where user_id = $1', [id]);
  await db.query('delete from public.users where id = $1', [id]);
  expect(outcome.stdout).toContain('\\u202e');
  const page = readFileSync(html, 'utf8');
  expect(page).not.toContain('<img');
  expect(page).not.toContain('\u202e');
  expect(page).toContain(
    '<bdi>&#60;img src=x onerror=&#34;alert(&#39;1&#39;)&#34;&#62;&#38;amp;\\u202e</bdi>',
  );
});

test('diagnose --html to where no file can be fails with one line before it reads anything', async () => {
  const html = join(folder(), 'none', 'page.html');
  const outcome = await diagnose('--mapping', mappingFile(legacyMapping), '--html', html);
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(/^\S.*page\.html cannot be written: .*\n$/);
});
