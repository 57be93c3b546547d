import type pg from 'pg';
import { vacuum } from './database.ts';

export interface Bytes {
  deductions: number;
  per_deduction: number;
  /** What the figure depends on. */
  lengths: Record<string, number>;
  tables: { table: string; heap: number; indexes: number }[];
}

type Sizes = Map<string, { heap: number; indexes: number }>;

/**
 * What real deductions, one per account in turn, add to our tables and indexes. Some are made
 * beforehand: a batch changes all accounts in one transaction, which makes room for two versions of each,
 * once.
 */
export async function bytesPerDeduction(
  client: pg.Client,
  accounts: number,
  about: number,
): Promise<Bytes> {
  const batches = Math.ceil(about / accounts);
  for (let i = 0; i < 2; i += 1) await deductOnce(client, accounts);
  await vacuum(client);
  const before = await readSizes(client);
  for (let i = 0; i < batches; i += 1) await deductOnce(client, accounts);
  await vacuum(client);
  const after = await readSizes(client);

  const deductions = batches * accounts;
  const tables = [...after].map(([table, { heap, indexes }]) => ({
    table,
    heap: (heap - (before.get(table)?.heap ?? 0)) / deductions,
    indexes: (indexes - (before.get(table)?.indexes ?? 0)) / deductions,
  }));
  const grown = tables.filter(({ heap, indexes }) => heap + indexes > 0);
  const sum = grown.reduce((total, { heap, indexes }) => total + heap + indexes, 0);
  return { deductions, per_deduction: sum, lengths: await readLengths(client), tables: grown };
}

async function deductOnce(client: pg.Client, accounts: number): Promise<void> {
  const { rows } = await client.query(
    `select count(*) filter (where error_code is null) as booked
     from credits.deduct_credits_batch((
       select jsonb_agg(jsonb_build_object('account_id', 'acct-' || i, 'amount', 1,
         'idempotency_key', gen_random_uuid(), 'api_key_id', 'key_live_1',
         'operation', '/execute'))
       from generate_series(1, $1) as i))`,
    [accounts],
  );
  if (Number(rows[0].booked) !== accounts) throw new Error('a deduction of the batch was refused');
}

async function readSizes(client: pg.Client): Promise<Sizes> {
  const { rows } = await client.query(
    `select relname as name, pg_table_size(oid) as heap, pg_indexes_size(oid) as indexes
     from pg_class
     where relkind = 'r' and relnamespace = 'credits_private'::regnamespace order by 1`,
  );
  return new Map(
    rows.map(({ name, heap, indexes }) => [name, { heap: Number(heap), indexes: Number(indexes) }]),
  );
}

async function readLengths(client: pg.Client): Promise<Record<string, number>> {
  const { rows } = await client.query(
    `select length(account_id) as account_id, length(idempotency_key) as idempotency_key,
       length(api_key_id) as api_key_id, length(operation) as operation
     from credits.transactions where account_id = 'acct-1'
     order by transaction_id desc limit 1`,
  );
  return rows[0];
}
