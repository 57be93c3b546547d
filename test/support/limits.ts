import { expect } from 'vitest';
import { callAt, grantAt, type Ids, type Limit, type Target } from './calls.ts';
import { type Database, raised } from './database.ts';

/** An account that has enough, in a zone and with an anchor day of its own. */
export async function openAt(
  db: Target,
  account: string,
  at: number,
  { zone = 'UTC', anchor = 1, credits = 1_000_000 } = {},
): Promise<void> {
  await callAt(db, 'open_account', at, {
    p_account_id: account,
    p_time_zone: zone,
    p_anchor_day: anchor,
  });
  await grantAt(db, account, at, { key: 'enough', amount: credits });
}

/** What the limits of an account have counted: limit, window, who, how much. */
export const counters = async (db: Database, account: string) =>
  (
    await db.query(
      `select limit_id, replace(window_start::text, ' 00:00:00', '') as window_start, scope_id, spent
       from credits_private.limit_counters where account_id = $1 and last_entry_id > 0
       order by limit_id, window_start, scope_id`,
      [account],
    )
  ).map((row) => [row.limit_id, row.window_start, row.scope_id, row.spent]);

export interface Left {
  spent: number;
  reserved?: number;
  remaining: number;
  requested: number;
  scope_id?: string;
}

/** Expects that this limit refuses the call, with exactly these figures. */
export async function expectPassed(
  call: Promise<unknown>,
  account: string,
  limit: Limit,
  left: Left,
): Promise<void> {
  const error = await raised(call);
  expect(error).toMatchObject({ code: 'PT429', constraint: 'limits_are_never_passed' });
  expect(error.hint).toBeTruthy();
  expect(error.detail).toEqual({
    account_id: account,
    limit_id: limit.id,
    scope: limit.scope ?? 'account',
    window: limit.window ?? 'period',
    ceiling: limit.ceiling,
    overage: limit.overage ?? 0,
    reserved: 0,
    ...left,
    // The start of the next window, which a total does not have: retry.test.ts.
    ...(limit.window === 'total' ? {} : { retry_at: expect.stringMatching(/^\d{4}-.*Z$/) }),
    invariant: 'limits_are_never_passed',
  });
}

/** The argument that a scope looks at. */
export const named = (scope: NonNullable<Limit['scope']>, id: string | null): Ids =>
  ({ account: {}, api_key: { apiKey: id }, operation: { operation: id }, run: { run: id } })[scope];
