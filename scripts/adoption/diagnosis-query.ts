import type { CounterMapping, Mapping } from './mapping.ts';
import { counterSource, source } from './sources.ts';

// All of the work on rows is here, so that only sums leave the database: one row for each account,
// API key and set of counters in whose window the transactions are. Ids are compared by their bytes.

/** Rows of an account follow each other. */
export function diagnosisQuery(mapping: Mapping): string {
  const counters = mapping.counters.map((counter, i) => countedRows(counter, i));
  return `
    with ${chain(mapping)}${windows(mapping.counters)},
    sums as (
      select account_id, key, ${mask(mapping.counters)} as windows, ${sums}
      from classified as c ${windowJoins(mapping.counters)}
      group by 1, 2, 3
    )
    select sums.*, null::int as counter, null::bigint as value from sums
    ${counters.join(' ')}
    ${mapping.accounts ? `union all select account_id collate "C", '', 0, ${noSums}, null, null from ${source(mapping, 'accounts')} as a` : ''}
    order by account_id`;
}

/** What happened when, for all accounts together. */
export function timelineQuery(mapping: Mapping): string {
  return `
    with ${chain(mapping)}
    select case when is_balance then null else pg_catalog.to_char(created_at at time zone 'UTC', 'YYYY-MM-DD') end as day,
      coalesce(sum(gap), 0)::bigint as gaps,
      coalesce(-sum(amount) filter (where is_debit and key = ''), 0)::bigint as keyless
    from classified
    group by 1 order by 1`;
}

/**
 * Each transaction with what the chain says about it. The level is how far the balance is above the
 * sum of the transactions up to here; a gap is a change of it. The balance itself is the last link.
 */
const chain = (mapping: Mapping) => `
    ${refundedKeys(mapping)},
    movements as (
      select t.account_id collate "C" as account_id, created_at, position, amount, balance_after, is_refund,
        amount < 0 and not is_refund as is_debit,
        coalesce(nullif(api_key_id, ''), refunded_key, '') collate "C" as key,
        is_refund and nullif(api_key_id, '') is null and refunded_key is null as is_unresolved,
        ${duplicate(mapping)} as is_duplicate
      from ${source(mapping, 'transactions')} as t left join refunded_keys using (transaction_id)
    ),
    steps as (
      select *, false as is_balance from movements
      union all
      select account_id collate "C", 'infinity', null, 0, balance, false, false, '', false, false, true
      from ${source(mapping, 'balances')} as b
    ),
    levels as (
      select *, (balance_after - sum(amount) over (
        partition by account_id order by created_at, position rows unbounded preceding))::bigint as level
      from steps
    ),
    linked as (
      select *, lag(level, 1, 0::bigint) over w as l1, lag(level, 2, 0::bigint) over w as l2,
        lag(level, 3, 0::bigint) over w as l3, lead(level, 1) over w as n1, lead(level, 2) over w as n2,
        lead(is_balance, 1, true) over w as is_last
      from levels
      window w as (partition by account_id, balance_after is null order by created_at, position)
    ),
    classified as (
      select *, level - l1 as gap, ${detour} as is_detour,
        case when level <> l1 and n1 = l1 and not (l1 <> l2 and level = l2) then 1
          when level <> l1 and n1 <> l1 and n2 = l1 then 2 else 0 end as off
      from linked
    )`;

// A level that is left for one row, or for two, and returned to: no credit is missing, those rows'
// balance_after is wrong, or they were booked in the other order. All gaps on the way belong to it.
const detour = `coalesce(
        (level <> l1 and (n1 = l1 or n2 = l1))
        or (l1 <> l2 and (level = l2 or level <> l2 and n1 = l2))
        or (l2 <> l3 and l1 <> l3 and level = l3), false)`;

const sum = (expression: string, condition?: string) =>
  `coalesce(sum(${expression})${condition ? ` filter (where ${condition})` : ''}, 0)::bigint`;

const once = 'is_duplicate and gap = -amount and not is_detour';
const leftOut = 'is_refund and not is_duplicate and gap = -amount and not is_detour';
const otherwise = `gap <> 0 and not is_detour and not ((is_duplicate or is_refund) and gap = -amount)`;
const columns: Record<string, string> = {
  transactions: 'count(*) filter (where not is_balance)',
  amount: sum('amount'),
  debits: 'count(*) filter (where is_debit)',
  debited: sum('-amount', 'is_debit'),
  refunded: sum('amount', 'is_refund'),
  unresolved: sum('amount', 'is_unresolved'),
  above_one: sum('-amount - 1', 'is_debit'),
  duplicates: 'count(*) filter (where is_duplicate)',
  duplicates_amount: sum('amount', 'is_duplicate'),
  duplicate_debits: 'count(*) filter (where is_duplicate and is_debit)',
  duplicate_debited: sum('-amount', 'is_duplicate and is_debit'),
  once: `count(*) filter (where ${once})`,
  once_amount: sum('amount', once),
  refunds_left_out: `count(*) filter (where ${leftOut})`,
  refunds_left_out_amount: sum('amount', leftOut),
  changes: `count(*) filter (where ${otherwise})`,
  changes_amount: sum('gap', otherwise),
  off: sum('off'),
  balance: 'max(balance_after) filter (where is_balance)',
  balance_after: 'max(balance_after) filter (where is_last and not is_balance)',
  first_at: 'min(created_at) filter (where not is_balance)',
  last_at: 'max(created_at) filter (where not is_balance)',
};
const sums = Object.entries(columns)
  .map(([name, expression]) => `${expression} as ${name}`)
  .join(', ');
const noSums = Object.keys(columns)
  .map((name) => (/^(balance.*|.*_at)$/.test(name) ? 'null' : '0'))
  .join(', ');

/** The key of the debit that a refund without one gives back; '' where that has none either. */
function refundedKeys(mapping: Mapping): string {
  const { api_key_id, refunded_transaction_id } = mapping.transactions;
  if (!api_key_id || !refunded_transaction_id)
    return `refunded_keys as (select null::text as transaction_id, null::text as refunded_key where false)`;
  const transactions = source(mapping, 'transactions');
  return `refunded_keys as (
      select r.transaction_id, coalesce(d.api_key_id, '') as refunded_key
      from ${transactions} as r join ${transactions} as d on d.transaction_id = r.refunded_transaction_id
      where r.is_refund and nullif(r.api_key_id, '') is null and not d.is_refund
    )`;
}

// A refund may have the reference of what it gives back.
function duplicate(mapping: Mapping): string {
  const same = mapping.transactions.reference
    ? 'reference collate "C", is_refund, pg_catalog.sign(amount)'
    : 'created_at, amount, api_key_id, operation, kind, is_refund';
  const earlier = `row_number() over (
          partition by t.account_id collate "C", ${same} order by created_at, position) > 1`;
  return mapping.transactions.reference ? `reference is not null and ${earlier}` : earlier;
}

const rowKey = (counter: CounterMapping) =>
  counter.api_key_id ? `coalesce(api_key_id, '') collate "C"` : `''`;

const countedRows = (counter: CounterMapping, i: number) => `
    union all
    select account_id collate "C", ${rowKey(counter)}, 0, ${noSums}, ${i}, sum(value)::bigint
    from ${counterSource(counter)} as c group by 1, 2`;

/** From when on a counter counts for a key; and for what names none, from when on the earliest of the account's. */
function windows(counters: CounterMapping[]): string {
  const of = (counter: CounterMapping, i: number) => `,
    keys_${i} as (
      select account_id collate "C" as account_id, ${rowKey(counter)} as key,
        min(coalesce(since, '-infinity')) as since
      from ${counterSource(counter)} as c group by 1, 2
    ),
    starts_${i} as (select account_id, min(since) as since from keys_${i} group by 1)`;
  return counters.map((counter, i) => (counter.since ? of(counter, i) : '')).join('');
}

const windowJoins = (counters: CounterMapping[]) =>
  counters
    .map((counter, i) =>
      counter.since
        ? `left join keys_${i} using (account_id, key) left join starts_${i} using (account_id)`
        : '',
    )
    .join(' ');

const mask = (counters: CounterMapping[]) =>
  counters
    .map((counter, i) =>
      counter.since
        ? `case when created_at >= coalesce(keys_${i}.since, starts_${i}.since, 'infinity') then ${1 << i} else 0 end`
        : `${1 << i}`,
    )
    .join(' + ') || '0';
