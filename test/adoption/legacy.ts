import { readFileSync } from 'node:fs';
import type pg from 'pg';

const read = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');

/** A mapping of the tables of tables.sql, complete. */
export const legacyMapping = `
accounts:
  table: public.users
  account_id: id
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
  balance_after: balance_after
  kind: kind
  refunded_transaction_id: refunded_transaction_id
  reference: reference
  api_key_id: api_key_id
  operation: operation
counters:
  - name: monthly_calls_count
    table: public.api_keys
    account_id: user_id
    api_key_id: id
    value: monthly_calls_count
    counts: credits
    since: counter_reset_at
`;

/** The gateway's tables with the month of the incident, in an empty database. */
export async function makeIncident(client: pg.ClientBase): Promise<void> {
  for (const file of ['tables.sql', '../../tools/demo/calls.sql', 'incident.sql'])
    await client.query(read(file));
}

export interface LegacySize {
  accounts: number;
  transactions: number;
  seed: number;
}

/** The same tables with drift of every kind in many accounts; legacy.planted lists it. */
export async function makeLegacy(client: pg.ClientBase, size: LegacySize): Promise<void> {
  for (const file of ['tables.sql', 'legacy.sql']) await client.query(read(file));
  await client.query('select legacy.fill($1, $2, $3)', [
    size.accounts,
    size.transactions,
    size.seed,
  ]);
  await client.query('analyze');
}
