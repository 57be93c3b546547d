import type { CounterMapping, Mapping } from '../mapping/mapping.ts';
import { counterSource, source } from '../mapping/sources.ts';

/** Transactions, and as the last link of the chain the balance; counters and accounts beside them. */
export function stream(mapping: Mapping): string {
  const { reference, api_key_id } = mapping.transactions;
  const row = (columns: string, from: string, as: string) =>
    `select account_id collate "C" as account_id, ${columns} from ${from} as ${as}`;
  const beside = (key: string, counter: string, value: string, since: string) =>
    `false, false, null, null, 0, null, false, null, null, null, ${key}, ${counter}, ${value}, ${since}`;
  const parts = [
    row(
      `true as is_transaction, false as is_balance, created_at, position, amount, balance_after, is_refund,
        transaction_id, refunded_transaction_id, ${reference ? 'reference' : sameWithoutReference} collate "C" as same,
        coalesce(${api_key_id ? 'api_key_id' : 'null'}, '') collate "C" as key,
        null::int as counter, null::bigint as value, null::timestamptz as since`,
      source(mapping, 'transactions'),
      't',
    ),
    row(
      `false, true, 'infinity', null, 0, balance, false, null, null, null, '', null, null, null`,
      source(mapping, 'balances'),
      'b',
    ),
    row(beside(`''`, 'null', 'null', 'null'), source(mapping, 'accounts'), 'a'),
    ...mapping.counters.map((counter, i) =>
      row(
        beside(rowKey(counter), String(i), 'value', `coalesce(since, '-infinity')`),
        counterSource(counter),
        'c',
      ),
    ),
  ];
  return parts.join('\n      union all ');
}

const sameWithoutReference = `pg_catalog.jsonb_build_array(created_at, amount, api_key_id, operation, kind)::text`;
const rowKey = ({ api_key_id }: CounterMapping) =>
  api_key_id ? `coalesce(api_key_id, '') collate "C"` : `''`;
