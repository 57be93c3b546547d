import { Failure } from '../../shell/explain.ts';
import { printable, toJson } from '../../shell/format.ts';
import type { Acting } from '../app/actor.ts';
import { correctChanged } from './corrections.ts';
import {
  type Choice,
  importRows,
  lockAccounts,
  type Row,
  rowsAtOnce,
  setBeginnings,
} from './import.ts';
import { differenceOf } from './plan.ts';

/** What one account began with in the ledger. */
export interface Adopted {
  account_id: string;
  legacy_balance: bigint | null;
  legacy_transactions: bigint;
  transactions: bigint;
  opening: bigint;
  difference: bigint;
}

export interface Batch {
  adopted: Adopted[];
  entries: bigint;
}

/**
 * Adopts those of the accounts that are not adopted yet, in the caller's transaction: locks, reads what the app has of
 * them only then, and books it.
 */
export async function bookBatch(
  acting: Acting,
  query: string,
  choice: Choice,
  ids: string[],
  imported: (transactions: number) => void,
): Promise<Batch> {
  const locked = await lockAccounts(acting, choice, ids);
  if (locked.ids.length === 0) return { adopted: [], entries: 0n };
  await acting.user(`declare legacy scroll cursor for ${query}`, [locked.ids]);
  const heads = await acting.user<Row>(`fetch ${locked.ids.length} from legacy`);
  const begun = heads.filter((head) => locked.begun.has(head.account_id));
  await setBeginnings(
    acting,
    choice,
    heads.filter((head) => !begun.includes(head)),
  );
  if (choice.book === 'history') await importAll(acting, imported);
  if (begun.length > 0) await correctChanged(acting, begun, heads.length);
  await acting.user('close legacy');
  return end(acting, choice, heads);
}

async function importAll(acting: Acting, imported: (transactions: number) => void) {
  for (;;) {
    const rows = await acting.user<Row>(`fetch ${rowsAtOnce} from legacy`);
    if (rows.length === 0) return;
    imported(await importRows(acting, rows));
  }
}

async function end(acting: Acting, choice: Choice, heads: Row[]): Promise<Batch> {
  const found = heads.map((head) => ({
    ...adoptedFrom(head, choice),
    ...choice,
    ...snapshotOf(head),
  }));
  const values = [toJson(found)];
  const [ended] = await acting.owner<{ entries: string }>(endImports, values);
  await acting.owner(record, values);
  await acting.owner(forget, [heads.map((head) => head.account_id)]);
  // What was meant to be booked, and what the ledger says now.
  const [wrong] = await acting.owner<{ account_id: string }>(check, values);
  if (wrong)
    throw new Failure(`account ${printable(wrong.account_id)} does not have what was booked`);
  return { adopted: found, entries: BigInt(ended?.entries ?? 0) };
}

const endImports = `
  select sum(credits_private.end_import(
    r.account_id, r.opening, r.difference, f.found - '{account_id,snapshot,opening}'::text[]))::text
    as entries
  from jsonb_array_elements($1::jsonb) as f (found)
  cross join jsonb_to_record(f.found) as r (account_id text, opening bigint, difference bigint)`;

const record = `
  insert into credits_adoption.accounts (account_id, book, trust, legacy_balance,
    legacy_transactions, transactions, difference, snapshot)
  select r.account_id, r.book, r.trust, r.legacy_balance, r.legacy_transactions, r.transactions,
    r.difference, r.snapshot
  from jsonb_populate_recordset(null::credits_adoption.accounts, $1::jsonb) as r`;

const forget = 'delete from credits_adoption.begun as b where b.account_id = any ($1)';

const check = `
  select a.account_id
  from jsonb_populate_recordset(null::credits_adoption.accounts, $1::jsonb) as r
  join credits_private.accounts as a using (account_id)
  where a.balance <> case r.trust when 'balance'
    then coalesce(r.legacy_balance, r.legacy_transactions) else r.legacy_transactions end
  limit 1`;

const snapshotOf = (head: Row): { snapshot: string } => ({
  snapshot: JSON.parse(head.data).snapshot,
});

/** What is not trusted is booked first, and then what it differs by, as an entry of its own. */
function adoptedFrom({ account_id, data }: Row, { book, trust }: Choice): Adopted {
  const head = JSON.parse(data);
  const balance = head.balance === null ? null : BigInt(head.balance);
  const total = BigInt(head.total);
  const higher = differenceOf({ account_id, balance, total });
  const booked = book === 'history' || trust === 'balance' ? total : total + higher;
  const believed = trust === 'balance' ? total + higher : total;
  return {
    account_id,
    legacy_balance: balance,
    legacy_transactions: total,
    transactions: BigInt(head.transactions),
    opening: book === 'history' ? 0n : booked,
    difference: believed - booked,
  };
}
