import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { within } from '../../deploy/fixture.ts';
import { createDatabase, type Database } from '../../support/database.ts';
import { legacyMapping, makeIncident } from '../legacy.ts';
import { folder, mappingFile } from '../mappings.ts';

let db: Database;
let file: string;
beforeEach(async () => {
  db = await createDatabase({ empty: true });
  file = join(folder(), 'pg-credits.yaml');
});
afterEach(() => db.drop());

const run = (...args: string[]) =>
  within(['diagnose', '--database-url', db.url, '--mapping', file, ...args]);

test('init finds for the incident’s tables the mapping that one would write by hand', async () => {
  await makeIncident(await db.connect());
  expect(await run('--init')).toMatchObject({ code: 0, stderr: '' });
  expect(readMapping(file)).toEqual(readMapping(mappingFile(legacyMapping)));
});

test('init never overwrites a file', async () => {
  await makeIncident(await db.connect());
  writeFileSync(file, 'mine');
  const outcome = await run('--init');
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(
    /pg-credits\.yaml is there already: --init never writes over a file/,
  );
  expect(readFileSync(file, 'utf8')).toBe('mine');
});

test('init says that there is no table of transactions, and writes a template that is all comments', async () => {
  await db.query('create table public.users (id int primary key, credits int not null)');
  const outcome = await run('--init');
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toMatch(/^no table of database \S+ looks like one of credit transactions/);
  expect(readFileSync(file, 'utf8')).toMatch(/^(#.*\n|\n)+$/);
  const next = await run();
  expect(next).toMatchObject({ code: 1, stdout: '' });
  expect(next.stderr).toMatch(/: it has no transactions\n$/);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.slice(text.indexOf('# transactions:')).replace(/^# ?/gm, ''));
  expect(Object.keys(readMapping(file)).sort()).toEqual([
    'accounts',
    'balances',
    'counters',
    'transactions',
  ]);
});

test('init maps names that need quotes, moments without a zone, debits without a sign and balances kept with the users', async () => {
  await db.query(`
    create schema app;
    create table app."User" (id uuid primary key, email text, credits int not null, "callsUsed" int not null,
      "callsLimit" int, "periodStart" timestamp);
    create table app."CreditLedger" (id uuid primary key, "userId" uuid not null references app."User",
      delta int not null, type text, "newBalance" int, "createdAt" timestamp not null);
    create table app.usage_history (id int primary key, user_id int, amount int, created_at timestamptz);
    insert into app."User" values ('00000000-0000-0000-0000-000000000001', null, 5, 5, 10, '2026-01-01');
    insert into app."CreditLedger" values ('00000000-0000-0000-0000-000000000002',
      '00000000-0000-0000-0000-000000000001', 5, 'usage', 5, '2026-01-02')`);
  const outcome = await run('--init');
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toContain('no delta of app."CreditLedger" is negative');
  expect(readFileSync(file, 'utf8')).toContain('case when kind =');
  expect(readMapping(file)).toEqual({
    accounts: { table: 'app."User"', account_id: 'id' },
    balances: { table: 'app."User"', account_id: 'id', balance: 'credits' },
    transactions: {
      table: 'app."CreditLedger"',
      account_id: '"userId"',
      transaction_id: 'id',
      amount: 'delta',
      created_at: `"createdAt" at time zone 'UTC'`,
      kind: 'type',
      balance_after: '"newBalance"',
    },
    counters: [
      {
        name: 'callsUsed',
        table: 'app."User"',
        account_id: 'id',
        value: '"callsUsed"',
        counts: 'credits',
        since: `"periodStart" at time zone 'UTC'`,
      },
    ],
  });
  const next = await run();
  expect(next).toMatchObject({ code: 0, stderr: '' });
});

const transactions = (more: object) => ({
  table: 'public.credit_transactions',
  account_id: 'user_id',
  transaction_id: 'id',
  amount: 'amount',
  created_at: 'created_at',
  ...more,
});

test.each<[string, string, object]>([
  [
    'credits with the profiles, as on Supabase',
    `create table public.profiles (id uuid primary key, credits int not null);
     create table public.credit_transactions (id bigint primary key, user_id uuid not null references public.profiles,
       amount int not null, type text, stripe_session_id text, created_at timestamptz not null);
     insert into public.profiles values ('00000000-0000-0000-0000-000000000001', 5);
     insert into public.credit_transactions
     values (1, '00000000-0000-0000-0000-000000000001', 7, 'purchase', 'cs_1', now()),
       (2, '00000000-0000-0000-0000-000000000001', -2, 'usage', null, now())`,
    {
      accounts: { table: 'public.profiles', account_id: 'id' },
      balances: { table: 'public.profiles', account_id: 'id', balance: 'credits' },
      transactions: transactions({ kind: 'type', reference: 'stripe_session_id' }),
    },
  ],
  [
    'profiles beside the users that both tables point to',
    `create schema auth; create table auth.users (id uuid primary key);
     create table public.profiles (id uuid primary key references auth.users, credits int not null);
     create table public.credit_transactions (id bigint primary key, user_id uuid not null references auth.users,
       amount int not null, type text, created_at timestamptz not null);
     insert into auth.users values ('00000000-0000-0000-0000-000000000001');
     insert into public.profiles values ('00000000-0000-0000-0000-000000000001', 5);
     insert into public.credit_transactions
     values (1, '00000000-0000-0000-0000-000000000001', 5, 'purchase', now())`,
    {
      accounts: { table: 'auth.users', account_id: 'id' },
      balances: { table: 'public.profiles', account_id: 'id', balance: 'credits' },
      transactions: transactions({ kind: 'type' }),
    },
  ],
  [
    'customers that are not deleted but marked, and two references',
    `create table public.customers (id bigint primary key, credit_balance numeric not null, deleted_at timestamp);
     create table public.credit_transactions (id bigint primary key, customer_id bigint references public.customers,
       amount numeric not null, stripe_payment_intent_id text, idempotency_key text, created_at timestamp not null,
       deleted_at timestamp);
     insert into public.customers values (1, 5, null), (2, 9, now());
     insert into public.credit_transactions values (1, 1, 7, 'pi_1', 'a', now(), null),
       (2, 1, -2, null, 'b', now(), null), (3, 1, -4, null, 'b', now(), now())`,
    {
      accounts: { table: 'public.customers', account_id: 'id', where: 'deleted_at is null' },
      balances: {
        table: 'public.customers',
        account_id: 'id',
        balance: 'credit_balance',
        where: 'deleted_at is null',
      },
      transactions: transactions({
        account_id: 'customer_id',
        created_at: `created_at at time zone 'UTC'`,
        reference: 'idempotency_key',
        where: 'deleted_at is null',
      }),
    },
  ],
  [
    'users that no foreign key names, in camel case',
    `create table public."User" (id text primary key, credits int not null);
     create table public."CreditTransaction" (id text primary key, "userId" text not null, amount int not null,
       "stripeEventId" text, "createdAt" timestamp not null);
     create index on public."CreditTransaction" ("userId");
     insert into public."User" values ('u', 5);
     insert into public."CreditTransaction" values ('a', 'u', 7, 'evt_1', now()), ('b', 'u', -2, null, now())`,
    {
      accounts: { table: 'public."User"', account_id: 'id' },
      balances: { table: 'public."User"', account_id: 'id', balance: 'credits' },
      transactions: {
        table: 'public."CreditTransaction"',
        account_id: '"userId"',
        transaction_id: 'id',
        amount: 'amount',
        created_at: `"createdAt" at time zone 'UTC'`,
        reference: '"stripeEventId"',
      },
    },
  ],
  [
    'users that no foreign key names, beside a table of another type',
    `create schema auth; create table auth.users (id uuid primary key, credits int);
     create table public.users (id bigint primary key, credits int not null);
     create table public.credit_transactions (id bigint primary key, user_id bigint not null, amount int not null,
       payment_intent_id text, created_at timestamptz not null);
     insert into public.users values (1, 5);
     insert into public.credit_transactions values (1, 1, 7, 'pi_1', now()), (2, 1, -2, null, now())`,
    {
      accounts: { table: 'public.users', account_id: 'id' },
      balances: { table: 'public.users', account_id: 'id', balance: 'credits' },
      transactions: transactions({ reference: 'payment_intent_id' }),
    },
  ],
])('init finds the balances of %s, and they agree', async (_, app, expected) => {
  await db.query(app);
  expect(await run('--init')).toMatchObject({ code: 0, stderr: '' });
  expect(readMapping(file)).toEqual({ ...expected, counters: [] });
  const next = await run('--check');
  expect(next).toMatchObject({ code: 0, stderr: '' });
  expect(next.stdout).toContain('all surfaces agree, on 1 account');
});
