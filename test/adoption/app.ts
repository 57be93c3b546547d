import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { inject } from 'vitest';
import type { Choice } from '../../scripts/adoption/adopt/import.ts';
import { type AdoptOptions, adopt } from '../../scripts/adoption/adopt/run.ts';
import type { AdoptReport } from '../../scripts/adoption/adopt/text.ts';
import { type Mapping, parseMapping } from '../../scripts/adoption/mapping/mapping.ts';
import { cli } from '../deploy/fixture.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { DAY, moment, us } from '../support/time.ts';
import type { Legacy } from './history.ts';

// A small app that kept its credits itself. Its ids are numbers, and each of its tables may be the
// only one that knows an account.

const schema = `
  create schema app;
  create table app.users (id bigint primary key, zone text);
  create table app.wallets (user_id bigint primary key, credits bigint not null);
  create table app.transactions (
    id text primary key, user_id bigint not null, amount bigint not null, kind text,
    refunds text, api_key text, path text, run text, balance_after bigint, created_at timestamptz not null);
  create index transactions_of_user on app.transactions (user_id)`;

const mapping = {
  accounts: { table: 'app.users', account_id: 'id', time_zone: 'zone' },
  balances: { table: 'app.wallets', account_id: 'user_id', balance: 'credits' },
  transactions: {
    table: 'app.transactions',
    account_id: 'user_id',
    transaction_id: 'id',
    amount: 'amount',
    created_at: 'created_at',
    kind: 'kind',
    refunded_transaction_id: 'refunds',
    api_key_id: 'api_key',
    operation: 'path',
    run_id: 'run',
  },
};

type Parts = Record<string, Record<string, string | undefined> | undefined>;

/** The mapping of that app with changes: undefined leaves a part or a column out. */
export function mappingWith(changes: Parts = {}): Mapping {
  const parts: Parts = { ...mapping };
  for (const [part, columns] of Object.entries(changes))
    parts[part] = columns && { ...parts[part], ...columns };
  return parseMapping(JSON.stringify(parts));
}

export function mappingFile(changes?: Parts): string {
  const file = join(mkdtempSync(join(inject('folder'), 'mapping ')), 'pg-credits.yaml');
  const { counters: _, ...parts } = mappingWith(changes);
  writeFileSync(file, JSON.stringify(parts));
  return file;
}

export const createApp = (db: Database) => db.query(schema);

export interface Account {
  id: number;
  history: Legacy[];
  /** Of its wallet, if it has one. */
  balance?: number;
  /** Of its user, if it has one. */
  zone?: string | null;
}

export const totalOf = (history: Legacy[]) => history.reduce((sum, { amount }) => sum + amount, 0);

export async function addAccounts(db: Database, accounts: Account[]): Promise<void> {
  const users = accounts.filter(({ zone }) => zone !== undefined);
  const wallets = accounts.filter(({ balance }) => balance !== undefined);
  await db.query(
    'insert into app.users select * from jsonb_to_recordset($1) as r (id bigint, zone text)',
    [JSON.stringify(users)],
  );
  await db.query(
    'insert into app.wallets select * from jsonb_to_recordset($1) as r (id bigint, balance bigint)',
    [JSON.stringify(wallets)],
  );
  for (const { id, history } of accounts) await addTransactions(db, id, history);
}

export const addTransactions = (db: Database, user: number, history: Legacy[]) =>
  db.query(
    `insert into app.transactions
     select r.id, $2, r.amount, case when r.refund then 'refund' else r.kind end, r.refunded,
       r."apiKey", r.operation, r.run, r.after, r.at
     from jsonb_to_recordset($1) as r (id text, amount bigint, refund boolean, kind text, refunded text,
       "apiKey" text, operation text, run text, after bigint, at timestamptz)`,
    [
      JSON.stringify(
        history.map((each, i) => ({
          ...each,
          id: `${user} ${each.id}`,
          refunded: each.refunded && `${user} ${each.refunded}`,
          refund: each.isRefund ?? false,
          at: moment(each.at),
          after: totalOf(history.slice(0, i + 1)),
        })),
      ),
      user,
    ],
  );

const start = us('2024-01-20T12:00:00Z');
const simple = (...amounts: number[]): Legacy[] =>
  amounts.map((amount, i) => ({ id: `t${i}`, amount, at: start + i * 20 * DAY }));

/** Drift in both directions, debt, and accounts that one of the tables does not know. */
export const drifted: Account[] = [
  { id: 1, zone: 'UTC', balance: 70, history: simple(100, -30) },
  { id: 2, zone: 'Europe/Berlin', balance: 90, history: simple(100, -30) },
  { id: 3, zone: null, balance: 55, history: simple(100, -30) },
  { id: 4, zone: null, balance: -20, history: simple(10, -30) },
  { id: 5, zone: null, balance: -50, history: simple(10, -30) },
  { id: 6, zone: null, balance: 7, history: [] },
  { id: 7, zone: null, balance: 0, history: [] },
  { id: 8, zone: null, history: simple(5, 0, -2) },
  { id: 9, balance: 12, history: simple(12) },
  { id: 10, history: simple(-3) },
  { id: 11, zone: 'Asia/Kolkata', history: [] },
];

export const adoptCommand = (db: Database, file: string, ...args: string[]) =>
  cli(['adopt', '--database-url', db.url, '--mapping', file, ...args]);

/** The same within this process. */
export async function adoptAll(
  db: Database,
  choice: Choice,
  { mapping = mappingWith(), client, ...options }: AdoptHere = {},
): Promise<AdoptReport> {
  return adopt(client ?? (await db.connect()), mapping, {
    batch: 100,
    choose: () => choice,
    interrupted: () => undefined,
    progress: () => {},
    ...options,
  });
}

interface AdoptHere extends Partial<AdoptOptions> {
  mapping?: Mapping;
  client?: pg.Client;
}

/**
 * The ledger of all accounts and the record of the adoption; any time since a moment reads `now`.
 */
export async function wholeLedger(db: Database, since: number) {
  const tables = ['accounts', 'grants', 'entries', 'usage_counters', 'idempotency_keys'];
  const names = tables.map((table) => `credits_private.${table}`);
  const { state } = await db.one(`select to_regclass('credits_adoption.accounts') as state`);
  if (state) names.push('credits_adoption.accounts');
  const ledger: Record<string, unknown[]> = {};
  for (const name of names) {
    const rows = await db.query(
      `select to_jsonb(t) - 'snapshot' as row from ${name} as t order by t.account_id, to_jsonb(t)::text`,
    );
    ledger[name] = rows.map(({ row }) => withoutClock(row, since));
  }
  return ledger;
}

const withoutClock = (row: Record<string, unknown>, since: number) =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      const isNow = /(_at|^period|^next_period)$/.test(name) && Date.parse(String(value)) >= since;
      return [name, isNow ? 'now' : value];
    }),
  );

/** A database of its own, with the app and these accounts. */
export async function appWith(accounts: Account[]): Promise<Database> {
  const made = await createDatabase();
  await createApp(made);
  await addAccounts(made, accounts);
  return made;
}
