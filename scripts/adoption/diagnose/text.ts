import { type Align, formatTable, grouped, plural, signed } from '../../shell/format.ts';
import type { Moment } from '../app/moment.ts';
import { causeNames } from './causes.ts';
import { type AccountDiagnosis, differenceOf } from './diagnosis.ts';
import { type CauseTotal, comparesNothing, type SurfaceTotal, type Totals } from './totals.ts';

export const nothingToCompare = 'nothing to compare: map balances or counters';

export function describe(moment: Moment, totals: Totals, top: AccountDiagnosis[]): string[] {
  const { accounts, disagreeing, surfaces, causes } = totals;
  const blocks = [heading(moment, totals)];
  if (surfaces.length > 0) blocks.push(surfaceTable(surfaces));
  if (causes.length > 0) blocks.push(causeTable(causes));
  if (comparesNothing(totals)) blocks.push([nothingToCompare]);
  else if (disagreeing === 0n)
    blocks.push([`all surfaces agree, on ${plural(accounts, 'account')}`]);
  if (disagreeing > 0n) blocks.push(accountTable(top, disagreeing));
  return blocks.flatMap((block, i) => (i === 0 ? block : ['', ...block]));
}

function heading({ database, as_of }: Moment, totals: Totals): string[] {
  const { accounts, disagreeing, transactions, debits, debited, refunded } = totals;
  const delta =
    refunded === 0n
      ? `${plural(debits, 'debit')} of ${grouped(debited)} in all`
      : `${plural(debits, 'debit')} of ${grouped(debited)} in all, of which ${grouped(refunded)} refunded`;
  return [
    `database ${database}: reads only: one read-only transaction as of ${as_of.toISOString()}`,
    `${plural(accounts, 'account')}, of which ${plural(disagreeing, 'disagrees', 'disagree')}; ${plural(transactions, 'transaction')}${period(totals)}: ${delta}`,
  ];
}

export function period({ first_at, last_at }: Totals): string {
  if (!first_at || !last_at) return '';
  const [from, to] = [first_at, last_at].map((at) => at.toISOString().slice(0, 10));
  return ` from ${from} to ${to}`;
}

export const surfaceLabel = (surface: string): string =>
  ({
    balance: 'balance',
    balance_after: 'last balance_after',
    api_key_calls: 'calls with an API key',
  })[surface] ?? surface;

export const quotaLabel = (surface: string): string =>
  surface.replace('counter', 'remaining quota by');

/** A quota is what a counter leaves: too little counted is too much left. */
export const quotas = (surfaces: SurfaceTotal[]): SurfaceTotal[] =>
  surfaces
    .filter(({ surface, accounts }) => surface.startsWith('counter ') && accounts > 0n)
    .map((total) => ({ ...total, over: total.under, under: total.over }));

function surfaceTable(surfaces: SurfaceTotal[]): string[] {
  const rows = surfaces.map((total) => [
    surfaceLabel(total.surface),
    grouped(total.says),
    grouped(total.should),
    ...misses(total),
  ]);
  for (const quota of quotas(surfaces))
    rows.push([quotaLabel(quota.surface), '', '', ...misses(quota)]);
  const head = ['surface', 'says', 'transactions', 'over', 'under', 'accounts'];
  return [...formatTable(head, rows, numbers(1)), ...surfaces.flatMap(withoutNote)];
}

/** Nothing says what they should have been compared with. */
export const withoutNote = ({ surface, without }: SurfaceTotal): string[] =>
  without > 0n
    ? [`${plural(without, 'account')} without ${surfaceLabel(surface)}: not compared`]
    : [];

const misses = ({ over, under, accounts }: SurfaceTotal) => [over, under, accounts].map(grouped);
const numbers = (texts: number): Align[] =>
  Array.from({ length: 8 }, (_, i) => (i < texts ? 'left' : 'right'));

function causeTable(causes: CauseTotal[]): string[] {
  const rows = causes.map((total) => [
    causeNames[total.cause],
    surfaceLabel(total.surface),
    total.rows === null ? '' : grouped(total.rows),
    signed(total.effect),
    grouped(total.accounts),
  ]);
  const head = ['likely cause', 'of', 'transactions', 'makes it differ by', 'accounts'];
  return [...formatTable(head, rows, numbers(2)), ...causes.flatMap(duplicateNote)];
}

export function duplicateNote({ cause, once, rows }: CauseTotal): string[] {
  if (rows === null || once === undefined) return [];
  const booked =
    cause === 'duplicates'
      ? 'booked twice'
      : 'alike and of one moment (a reference, mapped, would tell whether they are booked twice)';
  const seen =
    once === null
      ? 'whether the balance has them once or twice, nothing tells'
      : `the balance has ${grouped(once)} of them once, ${grouped(rows - once)} twice`;
  return [`${booked}: ${seen}`];
}

function accountTable(top: AccountDiagnosis[], disagreeing: bigint): string[] {
  const surfaces = top[0]?.surfaces ?? [];
  const head = [
    'account',
    'drift',
    ...surfaces.map(({ surface }) => surfaceLabel(surface)),
    'causes',
  ];
  const rows = top.map((account) => [
    account.account_id,
    grouped(account.drift),
    ...account.surfaces.map((each) =>
      each.says === null
        ? '-'
        : differenceOf(each) === 0n
          ? grouped(each.says)
          : `${grouped(each.says)} for ${grouped(each.should)}`,
    ),
    [...new Set(account.causes.map(({ cause }) => causeNames[cause]))].join(', '),
  ]);
  const more = disagreeing - BigInt(top.length);
  const align: Align[] = head.map((_, i) => (i === 0 || i === head.length - 1 ? 'left' : 'right'));
  const lines = formatTable(head, rows, align);
  return more > 0n
    ? [...lines, `and ${plural(more, 'more account')}: --top N, or --json for all`]
    : lines;
}
