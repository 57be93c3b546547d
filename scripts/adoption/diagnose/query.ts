import type { CounterMapping, Mapping } from '../mapping/mapping.ts';
import { stream } from './stream.ts';

// All of the work on rows is here, so that only sums leave the database: of each account, by API key and by the
// counters in whose window the transactions are. Nothing is joined: of the mapping's expressions there are no
// statistics, and the planner's guesses cost minutes. Whatever concerns an account is a row of one stream, in one
// large sort by account; what comes after it sorts within the accounts. Ids are compared by their bytes.

/** Rows of an account follow each other. */
export const diagnosisQuery = (mapping: Mapping): string => `
    with ${classified(mapping)}
    select account_id, key, windows, counter, ${sums}
    from classified group by account_id, key, windows, counter
    order by account_id`;

/**
 * What happened when, for all accounts together; what the balances are off by at last has no day, nor has what
 * happened at no time.
 */
export const timelineQuery = (mapping: Mapping): string => `
    with ${classified(mapping)}
    select
      case when ${isDated} then pg_catalog.to_char(created_at at time zone 'UTC', 'YYYY-MM-DD') end as day,
      ${sum('gap')} as gaps, ${sum('-amount', "is_debit and key = ''")} as keyless
    from classified where is_transaction or is_balance
    group by 1 order by 1`;

/**
 * Each transaction with what the chain says about it. The level is how far the balance is above the
 * sum of the transactions up to here; a gap is a change of it. A refund that names no key has that of
 * its debit, and a refund may have the reference of what it gives back.
 */
const classified = (mapping: Mapping) => `
    stream as (${stream(mapping)}),
    debits as (
      select *, is_transaction and amount < 0 and not is_refund as is_debit,
        case when is_refund then refunded_transaction_id else transaction_id end as origin
      from stream
    ),
    keyed as (
      select account_id, is_transaction, is_balance, created_at, position, amount, balance_after, is_refund, same,
        counter, value, since, is_debit,
        case when is_refund and key = '' then coalesce(max(key) filter (where is_debit) over o, '') else key end as key,
        is_refund and key = '' and count(*) filter (where is_debit) over o = 0 as is_unresolved
      from debits
      window o as (partition by account_id, origin)
    ),
    placed as (select *, ${windowDigits(mapping.counters)} as windows from keyed),
    levels as (
      select *, (balance_after - sum(amount) over (
        partition by account_id order by created_at, position rows unbounded preceding))::bigint as level
      from placed
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
          when level <> l1 and n1 <> l1 and n2 = l1 then 2 else 0 end as off,
        same is not null and row_number() over (
          partition by account_id, same, is_refund, amount > 0 order by created_at, position) > 1 as is_duplicate
      from linked
    )`;

/**
 * In the windows of which counters it is, a digit for each. A window begins for each key when its counter was reset,
 * and for what names none, or one without a counter, with the earliest of the account's.
 */
function windowDigits(counters: CounterMapping[]): string {
  const digits = counters.map((counter, i) => {
    const begins = (of: string) =>
      `min(since) filter (where counter = ${i}) over (partition by ${of})`;
    return counter.since
      ? `case when is_transaction and created_at >= coalesce(${begins('account_id, key')}, ${begins('account_id')}) then '1' else '0' end`
      : `case when is_transaction then '1' else '0' end`;
  });
  return `(${digits.join(' || ') || `''`}) collate "C"`;
}

// A level that is left for one row, or for two, and returned to: no credit is missing, those rows'
// balance_after is wrong, or they were booked in the other order. All gaps on the way belong to it.
const detour = `coalesce(
        (level <> l1 and (n1 = l1 or n2 = l1))
        or (l1 <> l2 and (level = l2 or level <> l2 and n1 = l2))
        or (l2 <> l3 and l1 <> l3 and level = l3), false)`;

const sum = (expression: string, condition?: string) =>
  `coalesce(sum(${expression})${condition ? ` filter (where ${condition})` : ''}, 0)::bigint`;

// A moment may be infinity: an app's way to say that it knows none.
const isDated = 'is_transaction and pg_catalog.isfinite(created_at)';

const once = 'is_duplicate and gap = -amount and not is_detour';
const leftOut = 'is_refund and not is_duplicate and gap = -amount and not is_detour';
const otherwise = `gap <> 0 and not is_detour and not ((is_duplicate or is_refund) and gap = -amount)`;
const columns: Record<string, string> = {
  transactions: 'count(*) filter (where is_transaction)',
  amount: sum('amount'),
  debits: 'count(*) filter (where is_debit)',
  debited: sum('-amount', 'is_debit'),
  refunded: sum('amount', 'is_refund'),
  unresolved: sum('amount', 'is_unresolved'),
  above_one: sum('-amount - 1', 'is_debit'),
  value: sum('value'),
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
  balance_after: 'max(balance_after) filter (where is_last and is_transaction)',
  first_at: `min(created_at) filter (where ${isDated})`,
  last_at: `max(created_at) filter (where ${isDated})`,
};
const sums = Object.entries(columns)
  .map(([name, expression]) => `${expression} as ${name}`)
  .join(', ');
