import type pg from 'pg';
import type { Acting } from '../app/actor.ts';
import { hasAdoption } from '../app/parties.ts';
import { isIndexed, ofSome, surveyQuery } from '../app/queries.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { readShadow } from '../shadow/shadow.ts';

export interface Figures {
  account_id: string;
  /** null: the app shows none. */
  balance: bigint | null;
  total: bigint;
}

interface Sum {
  accounts: bigint;
  amount: bigint;
}

export interface Differences {
  higher: Sum;
  lower: Sum;
}

export interface Plan {
  /** To be adopted. */
  accounts: bigint;
  transactions: bigint;
  /** What the app says that all of them have, by either figure; debt is what is below zero. */
  by: Record<'transactions' | 'balance', { sum: bigint; debt: Sum }>;
  /** Balances that are higher than the transactions say, and lower. */
  differences: Differences;
  largest: Figures[];
  without_balance: bigint;
  adopted: bigint;
  /** Of those to be adopted, whose history was imported in part. */
  begun: bigint;
  /** Accounts that something else was done with than adopting them. */
  conflicts: { accounts: bigint; first: string[] };
  indexed: boolean;
  shadow: boolean;
}

/**
 * What there is to adopt, in the caller's transaction. The cursor `accounts` that it leaves has a row for each account,
 * in ascending order.
 */
export async function makePlan(
  client: pg.ClientBase,
  acting: Acting,
  mapping: Mapping,
  cursor = 'cursor',
): Promise<Plan> {
  const plan = emptyPlan();
  plan.indexed = await isIndexed(client, await ofSome(client, mapping));
  plan.shadow = (await readShadow(client, mapping)).on;
  const state = await hasAdoption(client);
  await acting.user(`declare accounts ${cursor} for ${surveyQuery(mapping)}`);
  for (;;) {
    const rows = await acting.user<FiguresRow>('fetch 5000 from accounts');
    if (rows.length === 0) return plan;
    const ids = rows.map((row) => row.account_id);
    const used = await acting.owner<{ account_id: string }>(inUse, [ids]);
    const adopted = state ? await acting.owner<{ account_id: string }>(adoptedOf, [ids]) : [];
    const begun = state ? await acting.owner<{ account_id: string }>(begunOf, [ids]) : [];
    const known = { used: idsOf(used), adopted: idsOf(adopted), begun: idsOf(begun) };
    for (const row of rows) add(plan, row, known);
  }
}

export interface FiguresRow {
  account_id: string;
  balance: string | null;
  total: string;
  transactions: string;
}

const idsOf = (rows: { account_id: string }[]) => new Set(rows.map((row) => row.account_id));

const inUse = `
  select a.account_id from credits_private.accounts as a
  where a.account_id = any ($1) and not credits_private.is_unused(
    a.last_entry_id, a.last_grant_id, a.last_hold_id, a.has_limits, a.closed_at)`;

export const adoptedOf = `
  select a.account_id from credits_adoption.accounts as a where a.account_id = any ($1)`;

export const begunOf = `
  select b.account_id from credits_adoption.begun as b where b.account_id = any ($1)`;

export const none = (): Sum => ({ accounts: 0n, amount: 0n });

const emptyPlan = (): Plan => ({
  accounts: 0n,
  transactions: 0n,
  by: {
    transactions: { sum: 0n, debt: none() },
    balance: { sum: 0n, debt: none() },
  },
  differences: { higher: none(), lower: none() },
  largest: [],
  without_balance: 0n,
  adopted: 0n,
  begun: 0n,
  conflicts: { accounts: 0n, first: [] },
  indexed: false,
  shadow: false,
});

function add(
  plan: Plan,
  row: FiguresRow,
  known: Record<'used' | 'adopted' | 'begun', Set<string>>,
) {
  const { account_id } = row;
  if (known.adopted.has(account_id)) {
    plan.adopted += 1n;
    return;
  }
  if (known.begun.has(account_id)) plan.begun += 1n;
  else if (known.used.has(account_id)) {
    plan.conflicts.accounts += 1n;
    if (plan.conflicts.first.length < 10) plan.conflicts.first.push(account_id);
  }
  const balance = row.balance === null ? null : BigInt(row.balance);
  const figures = { account_id, balance, total: BigInt(row.total) };
  plan.accounts += 1n;
  plan.transactions += BigInt(row.transactions);
  if (balance === null) plan.without_balance += 1n;
  addFigure(plan.by.transactions, figures.total);
  addFigure(plan.by.balance, balance ?? figures.total);
  addDifference(plan.differences, differenceOf(figures));
  keepLargest(plan.largest, figures);
}

function addFigure(to: Plan['by']['balance'], figure: bigint) {
  to.sum += figure;
  if (figure < 0n) addTo(to.debt, -figure);
}

function addTo(sum: Sum, amount: bigint) {
  sum.accounts += 1n;
  sum.amount += amount;
}

/** What the balance has more than the transactions say. */
export const differenceOf = ({ balance, total }: Figures) => (balance ?? total) - total;

export function addDifference({ higher, lower }: Differences, difference: bigint) {
  if (difference !== 0n) addTo(difference > 0n ? higher : lower, abs(difference));
}

function keepLargest(largest: Figures[], figures: Figures) {
  const size = (of: Figures) => abs(differenceOf(of));
  const least = largest.length < 10 ? 0n : size(largest.at(-1) ?? figures);
  if (size(figures) <= least) return;
  largest.push(figures);
  largest.sort((a, b) => Number(size(b) - size(a)));
  largest.splice(10);
}

const abs = (value: bigint) => (value < 0n ? -value : value);
