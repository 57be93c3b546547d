import {
  alignRows,
  formatTable,
  grouped,
  orDash,
  plural,
  printable,
  signed,
} from '../../shell/format.ts';
import type { Signal } from '../../shell/signals.ts';
import { hasLastBalance } from '../app/queries.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { begunAsHistory, type Choice } from './import.ts';
import { type Differences, differenceOf, type Plan } from './plan.ts';

export interface AdoptReport extends Choice {
  accounts: bigint;
  transactions: bigint;
  entries: bigint;
  openings: bigint;
  /** What was booked beside it, up and down. */
  differences: Differences;
  adopted_before: bigint;
  seconds: number;
  /** What ended it while accounts were left; null: none is. */
  stopped_by: Signal | null;
}

const accounts = (count: bigint) => plural(count, 'account');
const transactions = (count: bigint) => plural(count, 'transaction');

/** What a person reads before an adoption. */
export function describePlan(
  plan: Plan,
  mapping: Mapping,
  book: Choice['book'],
  trust?: Choice['trust'],
) {
  const lines = [
    'read in a read-only transaction: nothing was written',
    `${accounts(plan.accounts)} to adopt, with ${transactions(plan.transactions)} of ${mapping.transactions.table}`,
  ];
  if (plan.adopted > 0n) lines.push(`${accounts(plan.adopted)} adopted already`);
  if (plan.begun > 0n) lines.push(begunAsHistory(begun(plan)));
  lines.push(...describeFigures(plan, mapping, book, trust), ...describeDifferences(plan, trust));
  if (plan.conflicts.accounts > 0n) lines.push(...describeConflicts(plan));
  return [...lines, ...warnings(plan, mapping).map((line) => `warning: ${line}`)];
}

function describeFigures(
  plan: Plan,
  mapping: Mapping,
  book: Choice['book'],
  trust?: Choice['trust'],
) {
  const what =
    book === 'opening'
      ? 'an opening balance for each account'
      : 'every transaction, at its old moment';
  const beside = 'and what the figures differ by, as an entry of its own';
  const lines = [`--book ${book}: ${what}, ${beside}`];
  const some = trust ? [trust] : (['transactions', 'balance'] as const);
  const figures = differs(plan.differences) === 0n ? some.slice(0, 1) : some;
  for (const each of figures) {
    const { sum, debt } = plan.by[each];
    const owed =
      debt.accounts === 0n
        ? ''
        : `; ${accounts(debt.accounts)} in debt, by ${grouped(debt.amount)}`;
    lines.push(
      `by the ${each === 'balance' ? balanceOf(mapping) : each}: ${grouped(sum)} in all${owed}`,
    );
  }
  if (plan.without_balance > 0n && (mapping.balances || hasLastBalance(mapping)))
    lines.push(
      `${accounts(plan.without_balance)} without a balance: the transactions say what they have`,
    );
  return lines;
}

const balanceOf = (mapping: Mapping) =>
  hasLastBalance(mapping) ? 'last balance_after' : 'balance';

const differs = ({ higher, lower }: Differences) => higher.accounts + lower.accounts;

function describeDifferences(plan: Plan, trust?: Choice['trust']): string[] {
  if (differs(plan.differences) === 0n) return ['no account differs'];
  const rows = plan.largest.map((each) => [
    each.account_id,
    orDash(each.balance),
    grouped(each.total),
    signed(differenceOf(each)),
  ]);
  const heading = ['account', 'balance', 'transactions', 'balance has more'];
  return [
    `${differing(plan)}${trust ? `; ${trust === 'balance' ? 'the balance is' : 'the transactions are'} believed` : ''}`,
    ...(trust ? [] : alignRows(choices, [], { indent: '  ' })),
    'the largest differences:',
    ...formatTable(heading, rows, ['left', 'right', 'right', 'right']),
  ];
}

function differing({ differences }: Plan): string {
  const { higher, lower } = differences;
  const than = (part: typeof higher, which: string) =>
    part.accounts === 0n
      ? []
      : `${plural(part.accounts, 'balance is', 'balances are')} ${which} than the transactions say, by ${grouped(part.amount)} in all`;
  const parts = [than(higher, 'higher'), than(lower, 'lower')].flat();
  return `${plural(differs(differences), 'account differs', 'accounts differ')}: ${parts.join('; ')}`;
}

function booked({ higher, lower }: Differences): string {
  const way = (part: typeof higher, which: string) =>
    part.accounts === 0n
      ? []
      : `${plural(part.accounts, 'account')} ${which} by ${grouped(part.amount)}`;
  const parts = [way(higher, 'up'), way(lower, 'down')].flat();
  return parts.length === 0
    ? 'no difference was to be booked'
    : `differences booked: ${parts.join(', ')}`;
}

const choices = [
  ['--trust transactions', 'every account gets what its transactions add up to'],
  ['--trust balance', 'every account gets what its balance shows'],
];

/** Why there must be a choice, and what it is between. */
export const trustWanted = (plan: Plan): string =>
  [
    `${differing(plan)}: nothing was written; say which is believed`,
    ...alignRows(choices, [], { indent: '  ' }),
  ].join('\n');

/** A subject and its verb. */
export const begun = (plan: Plan): string => plural(plan.begun, 'account was', 'accounts were');

export function describeConflicts({ conflicts }: Plan): string[] {
  const more = conflicts.accounts - BigInt(conflicts.first.length);
  return [
    `${accounts(conflicts.accounts)} with entries, grants, holds or limits that are not from an adoption:` +
      ' leave them out, with where, in every part of the mapping',
    ...conflicts.first.map((id) => `  ${printable(id)}`),
    ...(more > 0n ? [`  and ${grouped(more)} more`] : []),
  ];
}

/** What is as well to know before it begins. */
export function warnings(plan: Plan, mapping: Mapping): string[] {
  const { table } = mapping.transactions;
  const lines: string[] = [];
  if (!plan.shadow)
    lines.push(
      `the shadow is not on: what the app writes to ${table} after an account is adopted is not mirrored`,
    );
  if (!plan.indexed)
    lines.push(
      `${table} has no index by account: each batch reads all of it; create one, or take a larger --batch`,
    );
  return lines;
}

/** What a person reads after it. */
export function describeReport(report: AdoptReport): string[] {
  const { stopped_by: by, differences, adopted_before: before } = report;
  if (report.accounts === 0n && !by)
    return [`nothing to do: ${plural(before, 'account was', 'accounts were')} adopted before`];
  const entered =
    report.book === 'opening'
      ? plural(report.openings, 'opening balance')
      : transactions(report.transactions);
  const lines = [
    `adopted ${accounts(report.accounts)} in ${report.seconds.toFixed(1)} s: ${entered}, ` +
      plural(report.entries, 'entry', 'entries'),
    booked(differences),
  ];
  if (by) return [...lines, 'interrupted: run it again for the rest'];
  return [...lines, 'now check it: pg-credits verify'];
}
