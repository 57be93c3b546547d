import type pg from 'pg';
import type { Mapping } from '../mapping/mapping.ts';
import { type Cause, causesOf, counted, counterSurface, expectedOf } from './causes.ts';
import { addRow, type Figures, inWindow, newFigures } from './figures.ts';
import { diagnosisQuery } from './query.ts';

/** What one of the app's surfaces says, beside what it should say by the transactions. */
export interface Surface {
  surface: string;
  unit: 'credits' | 'calls';
  /** Null: the account has none. */
  says: bigint | null;
  should: bigint;
}

/** Of an account, or of all. */
export interface Activity {
  transactions: bigint;
  debits: bigint;
  debited: bigint;
  refunded: bigint;
  first_at: Date | null;
  last_at: Date | null;
}

export interface AccountDiagnosis extends Activity {
  account_id: string;
  /** By how many credits the balance and the counters are off, in all. */
  drift: bigint;
  surfaces: Surface[];
  causes: Cause[];
}

export const differenceOf = ({ says, should }: Surface): bigint =>
  says === null ? 0n : says - should;
/** A mere suspicion, of which no figure shows anything, is none. */
export const disagrees = (account: AccountDiagnosis): boolean =>
  account.causes.some(({ cause }) => cause !== 'possible_duplicates') ||
  account.surfaces.some((each) => differenceOf(each) !== 0n);

/** One account after the other, through a cursor: however many there are, few are here at a time. */
export async function* diagnose(
  client: pg.ClientBase,
  mapped: Mapping,
): AsyncGenerator<AccountDiagnosis> {
  const mapping = comparable(mapped);
  // The whole answer is wanted, not its first rows soon; and grouped as it comes, by account.
  await client.query(
    `set local cursor_tuple_fraction = 1; set local enable_hashagg = off;
    declare diagnosis no scroll cursor for ${diagnosisQuery(mapping)}`,
  );
  let figures: Figures | undefined;
  for (;;) {
    const { rows } = await client.query('fetch 1000 from diagnosis');
    for (const row of rows) {
      if (figures && figures.account_id !== row.account_id) {
        yield describe(figures, mapping);
        figures = undefined;
      }
      figures ??= newFigures(row.account_id);
      addRow(figures, row);
    }
    if (rows.length === 0) break;
  }
  if (figures) yield describe(figures, mapping);
  await client.query('close diagnosis');
}

/** Where transactions name no API key, what counters of keys say can be compared by account only. */
function comparable(mapping: Mapping): Mapping {
  if (mapping.transactions.api_key_id) return mapping;
  return { ...mapping, counters: mapping.counters.map(({ api_key_id: _, ...counter }) => counter) };
}

function describe(figures: Figures, mapping: Mapping): AccountDiagnosis {
  const { account_id, all, first_at, last_at } = figures;
  const surfaces = surfacesOf(figures, mapping);
  return {
    account_id,
    drift: driftOf(surfaces),
    transactions: all.transactions,
    debits: all.debits,
    debited: all.debited,
    refunded: all.refunded,
    first_at,
    last_at,
    surfaces,
    causes: causesOf(figures, mapping),
  };
}

/** The last balance_after says the same as the balance, once more. */
function driftOf(surfaces: Surface[]): bigint {
  const hasBalance = surfaces.some(({ surface }) => surface === 'balance');
  return surfaces
    .filter(
      ({ unit, surface }) => unit === 'credits' && !(hasBalance && surface === 'balance_after'),
    )
    .map(differenceOf)
    .reduce((sum, each) => sum + (each < 0n ? -each : each), 0n);
}

function surfacesOf(figures: Figures, mapping: Mapping): Surface[] {
  const { all, keys, balance, balance_after } = figures;
  const surfaces: Surface[] = [];
  const add = (surface: string, says: bigint | null, should: bigint, unit: Surface['unit']) =>
    surfaces.push({ surface, unit, says, should });
  if (mapping.balances) add('balance', balance, all.amount, 'credits');
  if (mapping.transactions.balance_after)
    add('balance_after', balance_after, all.amount, 'credits');
  mapping.counters.forEach((counter, i) => {
    const hasNone = ![...keys.values()].some(({ values }) => values.has(i));
    const expected = expectedOf(inWindow(i, keys.values()), counter);
    // Without a row, nothing says from when on it would have counted.
    const says = hasNone && counter.since ? null : counted(figures, i);
    add(counterSurface(counter.name), says, expected, counter.counts);
  });
  if (mapping.transactions.api_key_id) {
    const named = [...keys].filter(([key]) => key !== '').flatMap(([, { parts }]) => parts);
    const says = named.reduce((sum, part) => sum + part.sums.debits, 0n);
    add('api_key_calls', says, all.debits, 'calls');
  }
  return surfaces;
}
