import { Failure } from '../../shell/explain.ts';
import { printable } from '../../shell/format.ts';
import type { Acting } from '../app/actor.ts';
import { adoptedOf, begunOf } from './plan.ts';

export interface Choice {
  book: 'opening' | 'history';
  trust: 'transactions' | 'balance';
}

/** A row of batchQuery: of an account, or of one of its transactions. */
export interface Row {
  account_id: string;
  data: string;
}

// So much is in memory at once.
export const rowsAtOnce = 5000;

export interface Locked {
  /** Those that are not adopted yet. */
  ids: string[];
  /** Of them, those that pieces of were imported before. */
  begun: Set<string>;
}

/** The locks come first: what an app writes under one of them is read, or comes after. */
export async function lockAccounts(acting: Acting, choice: Choice, of: string[]): Promise<Locked> {
  const todo = await notAdopted(acting, of);
  const used = await acting.owner<{ account_id: string }>(
    `select i.account_id from unnest($1::text[]) as i (account_id)
     where not credits_private.begin_import(i.account_id)`,
    [todo],
  );
  // Another adopt may have been faster: under the locks, it has committed.
  const ids = await notAdopted(acting, todo);
  const begun = new Set(
    (await acting.owner<{ account_id: string }>(begunOf, [ids])).map((row) => row.account_id),
  );
  const conflict = used.find((row) => ids.includes(row.account_id) && !begun.has(row.account_id));
  if (conflict)
    throw new Failure(
      `account ${printable(conflict.account_id)} has come into use: it cannot be adopted any more`,
    );
  const [first] = begun;
  if (first !== undefined && choice.book !== 'history')
    throw new Failure(begunAsHistory(`account ${printable(first)} was`));
  return { ids, begun };
}

export const begunAsHistory = (which: string) =>
  `${which} begun with --book history, and can only be ended with it`;

export async function notAdopted(acting: Acting, ids: string[]): Promise<string[]> {
  const rows = await acting.owner<{ account_id: string }>(adoptedOf, [ids]);
  const adopted = new Set(rows.map((row) => row.account_id));
  return ids.filter((id) => !adopted.has(id));
}

/** What an account begins with, before anything is booked. */
export const setBeginnings = (acting: Acting, { book }: Choice, heads: Row[]) =>
  acting.owner(beginningsQuery, [book === 'history', listed(heads)]);

const beginningsQuery = `
  select credits_private.set_beginning(r.account_id, r.unit, r.scale, r.time_zone, r.anchor_day,
    case when $1 then r.first_at end)
  from jsonb_to_recordset($2::jsonb) as r (account_id text, unit text, scale int, time_zone text,
    anchor_day int, first_at timestamptz)
  where $1 or num_nonnulls(r.unit, r.scale, r.time_zone, r.anchor_day) > 0`;

/** The rows' data, with the account that it is of. */
const listed = (rows: Row[]) =>
  `[${rows.map((row) => `{"account_id":${JSON.stringify(row.account_id)},${row.data.slice(1)}`).join(',')}]`;

/** Those that are in the ledger already are passed over. Returns how many were not. */
export async function importRows(acting: Acting, rows: Row[]): Promise<number> {
  const [done] = await acting.owner<{ count: number }>(importQuery, [byAccount(rows)]);
  return done?.count ?? 0;
}

const importQuery = `
  select coalesce(sum(credits_private.import_transactions(r.account_id, (
    select jsonb_agg(t.transaction order by t.position)
    from jsonb_array_elements(r.transactions) with ordinality as t (transaction, position)
    where not exists (
      select from credits_private.entries as e
      where e.account_id = r.account_id
        and e.idempotency_key = 'legacy ' || (t.transaction ->> 'transaction_id'))))), 0)::int as count
  from jsonb_to_recordset($1::jsonb) as r (account_id text, transactions jsonb)`;

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
