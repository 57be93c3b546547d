import type pg from 'pg';
import { type Parties, readAsUser } from '../app/parties.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { readShadow, type ShadowState } from '../shadow/shadow.ts';
import { pairs, type Row, readMirror } from './balances.ts';

export interface Compared {
  account_id: string;
  /** As the app shows it; null where it shows none. */
  balance: bigint | null;
  /** What its transactions sum up to. */
  transactions: bigint;
  trust: 'transactions' | 'balance' | null;
  /** What the ledger should say. */
  trusted: bigint;
  ours: bigint | null;
  /** Ours less what is trusted; null for an account that is not adopted. */
  difference: bigint | null;
  /** Its writes that could not be mirrored. */
  failures: bigint;
}

export interface Sample {
  at: string;
  shadow: ShadowState;
  accounts: bigint;
  agree: bigint;
  differ: bigint;
  not_adopted: bigint;
  /** The differences, each without its sign. */
  off_by: bigint;
  /** Those that differ most. */
  worst: Compared[];
  /** Some that are not adopted. */
  missing: string[];
  mirrored: bigint;
  failures: { error: string; count: bigint }[];
}

const shown = 10;

/** Both books as of one moment; nothing is changed, whoever writes meanwhile. */
export const compare = (client: pg.ClientBase, mapping: Mapping, parties: Parties) =>
  readAsUser(client, parties, () => readSample(client, mapping, parties));

/** In the caller's transaction. Account by account from two cursors: memory does not grow with rows. */
export async function readSample(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
): Promise<Sample> {
  const { rows } = await client.query('select pg_catalog.now() as at');
  const counts = { accounts: 0n, agree: 0n, differ: 0n, not_adopted: 0n, off_by: 0n };
  const shadow = await readShadow(client, mapping);
  const sample: Sample = {
    at: rows[0].at.toISOString(),
    shadow,
    ...counts,
    worst: [],
    missing: [],
    ...(await readMirror(client, parties)),
  };
  for await (const [legacy, ours] of pairs(client, mapping, parties))
    count(sample, compareAccount(legacy, ours));
  return sample;
}

export function compareAccount(legacy: Row | undefined, ours: Row | undefined): Compared {
  const balance = whole(legacy?.balance);
  const transactions = whole(legacy?.transactions) ?? 0n;
  const trust = (ours?.trust ?? null) as Compared['trust'];
  // A balance that has left the app was the transactions and the difference that was booked, which stays.
  const trusted =
    trust === 'balance' ? (balance ?? transactions + BigInt(ours?.booked ?? 0)) : transactions;
  const inLedger = whole(ours?.balance);
  return {
    account_id: (legacy ?? ours)?.account_id ?? '',
    balance,
    transactions,
    trust,
    trusted,
    ours: inLedger,
    difference: trust === null || inLedger === null ? null : inLedger - trusted,
    failures: whole(ours?.failures) ?? 0n,
  };
}

const whole = (text: string | null | undefined) => (text == null ? null : BigInt(text));
const size = (value: bigint | null) => ((value ?? 0n) < 0n ? -(value ?? 0n) : (value ?? 0n));

function count(sample: Sample, account: Compared) {
  sample.accounts += 1n;
  if (account.difference === null) {
    sample.not_adopted += 1n;
    if (sample.missing.length < shown) sample.missing.push(account.account_id);
  } else if (account.difference === 0n) {
    sample.agree += 1n;
  } else {
    sample.differ += 1n;
    sample.off_by += size(account.difference);
    sample.worst.push(account);
    sample.worst.sort((a, b) => Number(size(b.difference) - size(a.difference)));
    sample.worst.length = Math.min(sample.worst.length, shown);
  }
}
