import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../support/database.ts';

/** A call with a key, and what it answered. */
export interface Recorded {
  text: string;
  values: unknown[];
  answer: Record<string, unknown>;
}

/** What was begun before the upgrade and is to be ended after it. */
export interface Begun {
  /** Deductions, with what is left to refund of each. */
  refundable: { transaction: unknown; left: number }[];
  /** Holds, with what they still hold; none where the version has no holds. */
  holds: { hold: unknown; held: number }[];
}

/** A call by name, with the arguments that it is given, p_account_id first. */
export const callOf = (name: string, args: Record<string, unknown>) => ({
  text: `select * from credits.${name}(${Object.keys(args)
    .map((arg, i) => `p_${arg} => $${i + 1}`)
    .join(', ')})`,
  values: Object.values(args),
});

/** A bit of everything that this version can do; afterwards something is due and not yet booked. */
export async function writeHistory(db: Database): Promise<{ recorded: Recorded[]; begun: Begun }> {
  const recorded: Recorded[] = [];
  const call = async (name: string, args: Record<string, unknown>) => {
    const { text, values } = callOf(name, args);
    const answer = await db.one(text, values);
    if ('idempotency_key' in args) recorded.push({ text, values, answer });
    return answer;
  };
  const names = await db.query(
    `select proname as name from pg_proc where pronamespace = 'credits'::regnamespace`,
  );
  const can = (name: string) => names.some((row) => row.name === name);
  const account_id = 'history';
  const grant = (key: string, amount: number, more = {}) =>
    call('grant_credits', { account_id, amount, idempotency_key: key, ...more });
  const deduct = (key: string, amount: number, more = {}) =>
    call('deduct_credits', { account_id, amount, idempotency_key: key, ...more });

  await call('open_account', { account_id, time_zone: 'Europe/Berlin', anchor_day: 31 });
  await grant('bought', 1000, { paid_amount: 999, paid_currency: 'eur' });
  await grant('scoped', 100, { priority: 10, source: 'plan', operations: ['/search'] });
  const { soon } = await db.one(`select (clock_timestamp() + '1 second')::text as soon`);
  await grant('passing', 200, { source: 'promotion', expires_at: soon });
  const [passing, searched] = [
    await deduct('from what passes', 150, { api_key_id: 'key a', run_id: 'run 1' }),
    await deduct('from what is scoped', 60, { operation: '/search', metadata: { page: 1 } }),
  ];
  await deduct('from both', 130, { api_key_id: 'key b', operation: '/search' });
  const transaction_id = searched.transaction_id;
  await call('refund_credits', { account_id, transaction_id, idempotency_key: 're', amount: 20 });
  const begun: Begun = {
    refundable: [
      { transaction: passing.transaction_id, left: 150 },
      { transaction: searched.transaction_id, left: 40 },
    ],
    holds: can('hold_credits') ? await writeHolds(call, account_id) : [],
  };
  if (can('revoke_grant')) await writeDebt(call);
  await untilPast(db, soon);
  return { recorded, begun };
}

type Call = (name: string, args: Record<string, unknown>) => Promise<Record<string, unknown>>;

async function writeHolds(call: Call, account_id: string): Promise<Begun['holds']> {
  const hold = async (key: string, amount: number) =>
    (await call('hold_credits', { account_id, amount, idempotency_key: key })).hold_id;
  const [whole, part, gone] = [await hold('h 1', 70), await hold('h 2', 50), await hold('h 3', 9)];
  const captured = { account_id, hold_id: part, amount: 20, idempotency_key: 'c', final: false };
  await call('capture_hold', captured);
  await call('release_hold', { account_id, hold_id: gone, idempotency_key: 'r' });
  return [
    { hold: whole, held: 70 },
    { hold: part, held: 30 },
  ];
}

async function writeDebt(call: Call): Promise<void> {
  const account_id = 'history of debt';
  await call('open_account', { account_id, overdraft_limit: 500 });
  const bought = { account_id, amount: 100, idempotency_key: 'bought' };
  const { grant_id } = await call('grant_credits', bought);
  await call('set_limit', { account_id, limit_id: 'a day', ceiling: 300, window: 'day' });
  await call('deduct_credits', { account_id, amount: 160, idempotency_key: 'more than that' });
  await call('revoke_grant', { account_id, grant_id, idempotency_key: 'charged back' });
}

async function untilPast(db: Database, moment: string): Promise<void> {
  const past = () => db.one('select clock_timestamp() > $1::timestamptz as past', [moment]);
  while (!(await past()).past) await sleep(20);
}

/** Reads the views' current columns, which later versions must still have with the same values. */
export async function readerOfViews(
  db: Database,
): Promise<() => Promise<Record<string, string[]>>> {
  const views = await db.query(
    `select table_name as view, string_agg(quote_ident(column_name), ', ' order by ordinal_position)
       as columns
     from information_schema.columns join information_schema.views using (table_schema, table_name)
     where table_schema = 'credits' and table_name <> 'discrepancies' group by table_name`,
  );
  return async () => {
    const said: Record<string, string[]> = {};
    for (const { view, columns } of views) {
      const rows = await db.query(
        `select to_jsonb(v)::text as row from (select ${columns} from credits.${view}) as v
         where account_id like 'history%' order by 1`,
      );
      said[view] = rows.map(({ row }) => row);
    }
    return said;
  };
}
