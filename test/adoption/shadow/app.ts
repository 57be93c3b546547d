import type pg from 'pg';
import { readParties } from '../../../scripts/adoption/app/parties.ts';
import { ensureAdoption } from '../../../scripts/adoption/app/state.ts';
import { parseMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { source } from '../../../scripts/adoption/mapping/sources.ts';
import { installShadow } from '../../../scripts/adoption/shadow/install.ts';
import { createDatabase, type Database } from '../../support/database.ts';

/** An app with a balance, its transactions and a counter for each API key. */
export const tables = `
  create table public.user_credits (
    user_id text primary key,
    balance bigint not null default 0,
    plan text not null default 'free'
  );
  create table public.credit_transactions (
    id bigint generated always as identity primary key,
    user_id text,
    amount bigint,
    kind text,
    api_key_id text,
    note text,
    created_at timestamptz not null default clock_timestamp()
  );
  create table public.api_keys (
    key_id text primary key,
    user_id text not null references public.user_credits,
    monthly_calls_count int not null default 0
  )`;

export const mappingText = `
accounts:
  table: public.user_credits
  account_id: user_id
balances:
  table: public.user_credits
  account_id: user_id
  balance: balance
transactions:
  table: public.credit_transactions
  account_id: user_id
  transaction_id: id
  amount: amount
  created_at: created_at
  kind: kind
  api_key_id: api_key_id
counters:
  - name: calls
    table: public.api_keys
    account_id: user_id
    api_key_id: key_id
    value: monthly_calls_count
    counts: calls
`;
export const mapping = parseMapping(mappingText);

/** A database with the app, and users u1, u2, … who have bought 1000 credits each and used 30. */
export async function createApp(users = 3): Promise<Database> {
  const db = await createDatabase();
  await db.query(tables);
  await db.query(
    `insert into public.user_credits select 'u' || n, 970 from generate_series(1, $1::int) as n`,
    [users],
  );
  await db.query(
    `insert into public.credit_transactions (user_id, amount, kind, api_key_id)
     select u.user_id, t.amount, t.kind, t.key
     from public.user_credits as u
     cross join (values (1, 1000, 'purchase', null), (2, -25, 'usage', 'key 1'), (3, -5, 'usage', null))
       as t (n, amount, kind, key)
     order by t.n, u.user_id`,
  );
  await db.query(
    `insert into public.api_keys select 'key ' || user_id, user_id, 1 from public.user_credits`,
  );
  return db;
}

interface Session {
  query(text: string, params?: unknown[]): Promise<unknown>;
}

/** What the app does: the balance, then the transaction, in the session's transaction. */
export async function write(client: Session, user: string, amount: number) {
  await client.query('update public.user_credits set balance = balance + $2 where user_id = $1', [
    user,
    amount,
  ]);
  await insert(client, user, amount);
}

export const insert = (client: Session, user: string, amount: number) =>
  client.query(
    `insert into public.credit_transactions (user_id, amount, kind) values ($1, $2, 'usage')`,
    [user, amount],
  );

export async function install(db: Database, of = mapping): Promise<void> {
  const client = await db.connect();
  await client.query(`begin; set local search_path = ''`);
  await installShadow(client, of, await readParties(client));
  await client.query('commit; reset role');
}

/** Like adopt, in the session's transaction: reads in a later statement what it has locked. */
export async function adoptIn(client: pg.Client, account: string, trust = 'transactions') {
  await client.query('select credits_private.begin_import($1)', [account]);
  await client.query(
    `with read as (
      select pg_current_snapshot() as snapshot, sum(amount)::bigint as sum, count(*) as count
      from ${source(mapping, 'transactions')} as t where account_id = $1
    ), balance as (
      select balance from ${source(mapping, 'balances')} as b where account_id = $1
    ), chosen as (
      select r.*, b.balance, coalesce(r.sum, 0) as s,
        case when $2 = 'balance' then b.balance else coalesce(r.sum, 0) end as opening
      from read as r left join balance as b on true
    ), booked as (
      select credits_private.end_import($1, opening, 0, '{}') from chosen
    )
    insert into credits_adoption.accounts (account_id, book, trust, legacy_balance,
      legacy_transactions, transactions, difference, snapshot)
    select $1, 'opening', $2, balance, s, count, 0, snapshot from chosen, booked`,
    [account, trust],
  );
}

export async function adopt(db: Database, account: string, trust?: string): Promise<void> {
  const client = await db.connect();
  await client.query('begin');
  await ensureAdoption(client);
  await adoptIn(client, account, trust);
  await client.query('commit');
  await client.end();
}

/** What the ledger and the app's transactions say. */
export async function figures(db: Database, account: string) {
  return db.one(
    `select (select balance from credits_private.accounts where account_id = $1) as ours,
      (select sum(amount)::bigint from public.credit_transactions where user_id = $1) as theirs`,
    [account],
  );
}

export const failures = (db: Database) =>
  db.query(
    'select account_id, transaction_id, error, sqlstate, change from credits_adoption.failures order by failure_id',
  );

/** How many writes were mirrored. */
export const mirrored = async (db: Database) =>
  (await db.one('select coalesce(sum(writes), 0)::bigint as n from credits_adoption.mirrored')).n;
