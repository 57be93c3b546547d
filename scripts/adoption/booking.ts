import { Failure } from '../lib/explain.ts';
import { printable, toJson } from '../lib/format.ts';
import type { Acting } from './acting.ts';
import { adoptedOf, differenceOf } from './plan.ts';

export interface Choice {
  book: 'opening' | 'history';
  trust: 'transactions' | 'balance';
}

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

/** A row of batchQuery: of an account, or of one of its transactions. */
interface Row {
  account_id: string;
  data: string;
}

// So much is in memory at once.
const rowsAtOnce = 5000;

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
  const todo = await lockUnused(acting, ids);
  if (todo.length === 0) return { adopted: [], entries: 0n };
  await acting.user(`declare legacy no scroll cursor for ${query}`, [todo]);
  const heads = await acting.user<Row>(`fetch ${todo.length} from legacy`);
  await acting.owner(setBeginnings, [choice.book === 'history', listed(heads)]);
  if (choice.book === 'history') await importRows(acting, imported);
  await acting.user('close legacy');
  return end(acting, choice, heads);
}

/** The locks come first: what an app writes under one of them is read, or comes after. */
async function lockUnused(acting: Acting, ids: string[]): Promise<string[]> {
  const todo = await notAdopted(acting, ids);
  const used = await acting.owner<{ account_id: string }>(
    `select i.account_id from unnest($1::text[]) as i (account_id)
     where not credits_private.begin_import(i.account_id)`,
    [todo],
  );
  // Another adopt may have been faster: under the locks, it has committed.
  const left = await notAdopted(acting, todo);
  const conflict = used.find((row) => left.includes(row.account_id));
  if (conflict)
    throw new Failure(
      `account ${printable(conflict.account_id)} has come into use: it cannot be adopted any more`,
    );
  return left;
}

async function notAdopted(acting: Acting, ids: string[]): Promise<string[]> {
  const rows = await acting.owner<{ account_id: string }>(adoptedOf, [ids]);
  const adopted = new Set(rows.map((row) => row.account_id));
  return ids.filter((id) => !adopted.has(id));
}

const setBeginnings = `
  select credits_private.set_beginning(r.account_id, r.unit, r.scale, r.time_zone, r.anchor_day,
    case when $1 then r.first_at end)
  from jsonb_to_recordset($2::jsonb) as r (account_id text, unit text, scale int, time_zone text,
    anchor_day int, first_at timestamptz)
  where $1 or num_nonnulls(r.unit, r.scale, r.time_zone, r.anchor_day) > 0`;

/** The rows' data, with the account that it is of. */
const listed = (rows: Row[]) =>
  `[${rows.map((row) => `{"account_id":${JSON.stringify(row.account_id)},${row.data.slice(1)}`).join(',')}]`;

async function importRows(acting: Acting, imported: (transactions: number) => void) {
  for (;;) {
    const rows = await acting.user<Row>(`fetch ${rowsAtOnce} from legacy`);
    if (rows.length === 0) return;
    await acting.owner(
      `select credits_private.import_transactions(r.account_id, r.transactions)
       from jsonb_to_recordset($1::jsonb) as r (account_id text, transactions jsonb)`,
      [byAccount(rows)],
    );
    imported(rows.length);
  }
}

/** One object for each account, with its transactions as they are: they need not be parsed here. */
function byAccount(rows: Row[]): string {
  const accounts: { id: string; data: string[] }[] = [];
  for (const { account_id: id, data } of rows) {
    const last = accounts.at(-1);
    if (last?.id === id) last.data.push(data);
    else accounts.push({ id, data: [data] });
  }
  const texts = accounts.map(
    ({ id, data }) => `{"account_id":${JSON.stringify(id)},"transactions":[${data.join(',')}]}`,
  );
  return `[${texts.join(',')}]`;
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
