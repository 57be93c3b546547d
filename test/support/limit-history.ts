import { expect } from 'vitest';
import {
  callAt,
  captureAt,
  deductAt,
  holdAt,
  type Limit,
  limitAt,
  refundAt,
  releaseAt,
} from './calls.ts';
import { type Database, raised } from './database.ts';
import { openAt } from './limits.ts';
import { randomNumbers } from './random.ts';
import { DAY, HOUR, us } from './time.ts';

interface Ids {
  apiKey: string | null;
  operation: string | null;
  run: string | null;
}
interface Use extends Ids {
  at: number;
  amount: number;
  refunded: number;
  transaction: number;
}
interface Held extends Ids {
  id: number;
  left: number;
  until: number;
}
type Known = Required<Limit> & { since: string };

const zone = 'Europe/Berlin';
const anchor = 5;
// A leap day, a day of 23 hours and one of 25 are near, and the end of a period is.
const starts = ['2024-02-27T20:00Z', '2024-03-28T20:00Z', '2024-10-25T20:00Z'];
const day = new Intl.DateTimeFormat('sv-SE', { timeZone: zone });

/** The window in which a moment lies, told without Postgres. An hour is told in UTC. */
export function windowOf(window: Limit['window'], at: number): string {
  if (window === 'total') return '-infinity';
  if (window === 'hour') return new Date(at / 1000).toISOString().slice(0, 13);
  const local = day.format(at / 1000);
  if (window === 'day') return local;
  const [year = 0, month = 0, date = 0] = local.split('-').map(Number);
  if (window === 'week') {
    const sundays = new Date(Date.UTC(year, month - 1, date - 1)).getUTCDay();
    return new Date(Date.UTC(year, month - 1, date - sundays)).toISOString().slice(0, 10);
  }
  const begun = new Date(Date.UTC(year, date < anchor ? month - 2 : month - 1, anchor));
  return begun.toISOString().slice(0, 10);
}

const scopeId = (limit: Known, ids: Ids): string | null => {
  // A call that names none is one more of them.
  const id =
    { account: '', api_key: ids.apiKey, operation: ids.operation, run: ids.run }[limit.scope] ?? '';
  return limit.scopeId === null || limit.scopeId === id ? id : null;
};

/**
 * The history of an account that never lacks credits, with limits of every scope and window that
 * come, change and go, over days and periods. What is spent is also kept here, as plain sums of our
 * own: they tell in advance which call is refused, by which limit and with which figures, and what
 * each counter shows after each step. Returns how many were refused, and where it ended.
 */
export async function writeLimitHistory(db: Database, account: string, seed: number, steps = 60) {
  const { below, pick } = randomNumbers(seed);
  const uses: Use[] = [];
  let holds: Held[] = [];
  const limits = new Map<string, Known>();
  let now = us(starts[seed % 3] ?? '');
  let refusals = 0;

  const spent = (limit: Known, id: string, window: string): number =>
    uses
      .filter((use) => scopeId(limit, use) === id && windowOf(limit.window, use.at) === window)
      .reduce((sum, use) => sum + use.amount - use.refunded, 0);

  const reserved = (limit: Known, id: string, except?: number): number =>
    holds
      .filter((hold) => hold.until > now && hold.id !== except && scopeId(limit, hold) === id)
      .reduce((sum, hold) => sum + hold.left, 0);

  /**
   * What the limits that a call falls under leave, least first; ties in the order of their names.
   */
  const left = (ids: Ids, except?: number) =>
    [...limits.values()]
      .flatMap((limit) => {
        const id = scopeId(limit, ids);
        if (id === null) return [];
        const of = {
          limit_id: limit.id,
          spent: spent(limit, id, windowOf(limit.window, now)),
          reserved: reserved(limit, id, except),
        };
        const headroom = limit.ceiling + limit.overage - of.spent - of.reserved;
        return [{ ...of, ceiling: limit.ceiling, remaining: Math.max(0, headroom) }];
      })
      .sort((a, b) => a.remaining - b.remaining || (a.limit_id < b.limit_id ? -1 : 1));

  /** The call's answer, or nothing where a limit had to refuse it, and did so. */
  async function asked<T extends { exceeded_limits: string[] | null }>(
    amount: number,
    found: ReturnType<typeof left>,
    call: Promise<T>,
  ): Promise<T | undefined> {
    const least = found[0];
    if (least && least.remaining < amount) {
      const { ceiling: _, ...figures } = least;
      const error = await raised(call);
      expect(error).toMatchObject({ code: 'PT429', constraint: 'limits_are_never_passed' });
      expect(error.detail).toMatchObject({ ...figures, requested: amount });
      refusals += 1;
      return undefined;
    }
    const answer = await call;
    const exceeded = found.filter((of) => of.spent + of.reserved + amount > of.ceiling);
    const names = exceeded.map((of) => of.limit_id).sort();
    expect(answer.exceeded_limits ?? []).toEqual(names);
    return answer;
  }

  const someIds = (): Ids => ({
    apiKey: pick(null, 'a', 'b'),
    operation: pick(null, 'a', 'search'),
    run: pick(null, 'a', `run of step ${below(8)}`),
  });
  const use = (ids: Ids, amount: number, transaction: number) =>
    uses.push({ ...ids, at: now, amount, refunded: 0, transaction });

  const deduct = async (key: string) => {
    const [ids, amount] = [someIds(), 1 + below(pick(10, 40))];
    const call = deductAt(db, account, now, { key, amount, ...ids });
    const answer = await asked(amount, left(ids), call);
    if (answer) use(ids, amount, answer.transaction_id);
  };
  const hold = async (key: string) => {
    const [ids, amount] = [someIds(), 1 + below(25)];
    const [expiresIn, lasts] = pick<[string, number]>(['1 hour', HOUR], ['60 hours', 60 * HOUR]);
    const call = holdAt(db, account, now, { key, amount, expiresIn, ...ids });
    const answer = await asked(amount, left(ids), call);
    if (answer) holds.push({ ...ids, id: answer.hold_id, left: amount, until: now + lasts });
  };
  const open = () => {
    holds = holds.filter(({ until }) => until > now);
    return holds[below(holds.length)];
  };
  const capture = async (key: string) => {
    const some = open();
    if (!some) return;
    const [amount, final] = [1 + below(some.left + 5), pick(true, false)];
    // What is held can always be captured: only what exceeds it is looked at.
    const found = amount > some.left ? left(some, some.id) : [];
    const call = captureAt(db, account, now, { key, hold: some.id, amount, final });
    const answer = await asked(amount, found, call);
    if (!answer) return;
    use(some, amount, answer.transaction_id);
    some.left = Math.max(0, some.left - amount);
    if (final) holds = holds.filter(({ id }) => id !== some.id);
  };
  const release = async (key: string) => {
    const some = open();
    if (!some) return;
    await releaseAt(db, account, now, { key, hold: some.id });
    holds = holds.filter(({ id }) => id !== some.id);
  };
  const refund = async (key: string) => {
    const some = uses[Math.max(0, uses.length - 1 - below(12))];
    if (!some || some.refunded === some.amount) return;
    const amount = 1 + below(some.amount - some.refunded);
    await refundAt(db, account, now, { key, transaction: some.transaction, amount });
    some.refunded += amount;
  };
  const setLimit = async () => {
    const scope = pick<Known['scope']>('account', 'api_key', 'operation', 'run');
    const set = {
      id: `limit ${below(6)}`,
      scope,
      scopeId: scope === 'account' ? null : pick(null, 'a'),
      window: pick<Known['window']>('hour', 'day', 'week', 'period', 'total'),
      ceiling: pick(0, 20, 60, 60, 150, 400),
      overage: pick(0, 0, 15),
    };
    await limitAt(db, account, now, set);
    const old = limits.get(set.id);
    const same = old?.scope === scope && old.scopeId === set.scopeId && old.window === set.window;
    limits.set(set.id, { ...set, since: same ? old.since : windowOf(set.window, now) });
  };
  const removeLimit = async () => {
    const id = `limit ${below(6)}`;
    await callAt(db, 'remove_limit', now, { p_account_id: account, p_limit_id: id });
    limits.delete(id);
  };

  /** Exactly the counters that must exist by now. */
  function expected(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const limit of limits.values()) {
      for (const some of uses) {
        const [id, window] = [scopeId(limit, some), windowOf(limit.window, some.at)];
        if (id === null || window < limit.since) continue;
        sums[`${limit.id}, ${window}, ${id}`] = spent(limit, id, window);
      }
    }
    return sums;
  }
  async function counted(): Promise<Record<string, number>> {
    const rows = await db.query(
      `select format('%s, %s, %s', c.limit_id, case
           when window_start = '-infinity' then '-infinity'
           else to_char(window_start, case limit_window
             when 'hour' then 'YYYY-MM-DD"T"HH24' else 'YYYY-MM-DD' end)
         end, c.scope_id) as counter, spent
       from credits_private.limit_counters as c
       join credits_private.limits as l using (account_id, limit_id)
       where c.account_id = $1 and last_entry_id > 0`,
      [account],
    );
    return Object.fromEntries(rows.map(({ counter, spent }) => [counter, spent]));
  }

  await openAt(db, account, now, { zone, anchor });
  const often = [deduct, deduct, deduct, deduct, deduct, hold, hold, capture, refund];
  const actions = [...often, ...often, release, setLimit, setLimit, removeLimit];
  for (let step = 1; step <= steps; step += 1) {
    now += pick(0, 0, HOUR, 5 * HOUR, 5 * HOUR, DAY);
    const action = step <= 4 ? setLimit : (actions[below(actions.length)] ?? deduct);
    await action(`step ${step}`);
    expect(await counted()).toEqual(expected());
  }
  return { refusals, end: now };
}
