import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { Failure } from '../../scripts/shell/explain.ts';

export const account = 'acme';
export const allowance = 1000;

export interface Call {
  call_id: number;
  path: string;
  cost: number;
  api_key_id: string | null;
  uses_llm: boolean;
}

/** The same calls into both sets of books. */
export async function replay(client: pg.Client): Promise<Call[]> {
  const calls = await prepare(client);
  for (const call of calls) {
    await bookTheOldWay(client, call);
    await book(client, call);
  }
  return calls;
}

/** The calls, the old tables, and the month's allowance in both sets of books. */
async function prepare(client: pg.Client): Promise<Call[]> {
  for (const file of ['calls.sql', 'old-way.sql'])
    await client.query(readFileSync(new URL(file, import.meta.url), 'utf8'));
  await client.query('insert into old_way.users values ($1, $2, $2)', [account, allowance]);
  await client.query(
    `insert into old_way.api_keys (api_key_id, user_id)
     select distinct api_key_id, $1 from public.calls where api_key_id is not null`,
    [account],
  );
  await client.query(
    `select transaction_id from credits.grant_credits(
       p_account_id => $1, p_amount => $2, p_idempotency_key => 'allowance', p_source => 'plan')`,
    [account, allowance],
  );
  const { rows } = await client.query<Call>('select * from public.calls order by call_id');
  return rows;
}

/** The app's code then. Each statement is a transaction of its own, as it was. */
async function bookTheOldWay(client: pg.Client, call: Call): Promise<void> {
  const { path, cost, api_key_id, uses_llm } = call;
  await client.query('select old_way.debit($1, $2, $3, $4)', [account, cost, path, api_key_id]);
  await client.query('select old_way.count_call($1, $2, $3)', [api_key_id, cost, uses_llm]);
}

export interface Deduction {
  transaction_id: number;
  amount: number;
  balance: number;
  replayed: boolean;
}

/** The app's code now: one statement, in whatever transaction the app is in. */
export async function book(client: pg.Client, call: Call): Promise<Deduction> {
  const { rows } = await client.query<Deduction>(
    `select transaction_id, amount, balance, replayed from credits.deduct_credits(
       p_account_id => $1, p_amount => $2, p_idempotency_key => $3, p_api_key_id => $4,
       p_operation => $5)`,
    [account, call.cost, `call-${call.call_id}`, call.api_key_id, call.path],
  );
  return only(rows);
}

/** The one row that a query is sure to return. */
export function only<T>(rows: T[]): T {
  const [row] = rows;
  if (row === undefined || rows.length > 1) throw new Failure(`${rows.length} rows, not one`);
  return row;
}
