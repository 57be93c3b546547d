import { rowsOf, type Target } from './calls.ts';
import { asRole, type Database } from './database.ts';
import { moment } from './time.ts';

export const balanceOf = async (db: Database, account: string): Promise<number> =>
  (await db.one('select balance from credits.remaining where account_id = $1', [account])).balance;

/** One statement as the owner of everything. */
export async function asOwner(db: Database, statement: string, params?: unknown[]) {
  const owner = await asRole(db, 'credits_owner');
  try {
    return (await owner.query(statement, params)).rows;
  } finally {
    await owner.end();
  }
}

/** The owner writes an entry by hand: the next one, sound unless `changes` make it otherwise. */
export async function insertEntry(
  db: Database,
  account: string,
  changes: Record<string, unknown> = {},
): Promise<void> {
  const { balance, period, id, now } = await db.one(
    `select balance, period, last_entry_id + 1 as id, clock_timestamp()::text as now
     from credits_private.accounts where account_id = $1`,
    [account],
  );
  const amount = Number(changes.amount ?? -1);
  const entry = {
    account_id: account,
    entry_id: id,
    transaction_id: id,
    entry_count: 1,
    kind: 'deduction',
    grant_id: 1,
    amount,
    balance_after: balance + amount,
    period,
    effective_at: now,
    created_at: now,
    ...changes,
  };
  await asOwner(
    db,
    `insert into credits_private.entries
     select * from jsonb_populate_record(null::credits_private.entries, $1)`,
    [entry],
  );
}

/** The ledger of an account from an entry on: kind, amount and grant of each; null is debt. */
export const entriesOf = async (db: Database, account: string, from = 1) =>
  (
    await db.query(
      `select kind, amount, grant_id from credits.entries
       where account_id = $1 and entry_id >= $2 order by entry_id`,
      [account, from],
    )
  ).map(({ kind, amount, grant_id }): [string, number, number | null] => [kind, amount, grant_id]);

/** What an account has at a moment, whether or not what is due by then has been settled. */
export const figuresAt = (
  db: Database,
  account: string,
  at: number,
  operation: string | null = null,
) =>
  db.one('select available, scoped, held, debt from credits_private.figures($1, $2, $3)', [
    account,
    operation,
    moment(at),
  ]);

/** What holds have reserved and released, in order: hold, grant (null is overdraft) and amount. */
export const partsOf = async (db: Database, account: string) =>
  (
    await db.query(
      `select hold_id, grant_id, amount from credits_private.hold_parts
       where account_id = $1 order by part_id`,
      [account],
    )
  ).map(({ hold_id, grant_id, amount }): [number, number | null, number] => [
    hold_id,
    grant_id,
    amount,
  ]);

/** The names of our tables; with `ofAccounts`, only those that have an account_id. */
export const tablesOf = async (target: Target, ofAccounts = false): Promise<string[]> =>
  (
    await rowsOf(
      target,
      `select c.oid::regclass::text as name from pg_class as c
       where c.relnamespace = 'credits_private'::regnamespace and c.relkind in ('r', 'p')
         and (not $1 or exists (
           select from pg_attribute as a where a.attrelid = c.oid and a.attname = 'account_id'))
       order by 1`,
      [ofAccounts],
    )
  ).map(({ name }) => name);

/** A digest of every row that we keep: equal before and after a call that changes nothing. */
export async function everything(target: Target): Promise<string> {
  const digests = (await tablesOf(target)).map(
    (table) => `(select string_agg(t::text, '|' order by t::text) from ${table} as t)`,
  );
  const [row] = await rowsOf(target, `select md5(concat_ws('/', ${digests.join(', ')})) as md5`);
  return row.md5;
}
