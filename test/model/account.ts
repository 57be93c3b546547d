// What the model knows of an account: lists. Every figure is summed up from them when it is asked
// for. Times are milliseconds in UTC, and an id is a place in its list, from 1.

export interface Ids {
  api_key: string | null;
  operation: string | null;
  run: string | null;
}
export interface Part {
  grant: number | null; // null is debt, or overdraft
  amount: number;
  refunded?: number; // the entry of which a refund gives this back
  repaid?: number; // the repayment of which it does
}
export interface Entry extends Part {
  id: number;
  transaction: number;
  kind: 'grant' | 'deduction' | 'capture' | 'refund' | 'expiry' | 'revocation' | 'repay';
  at: number;
  ids?: Ids | undefined;
  hold?: number;
  first?: boolean; // of its hold's captures: the one that counts as a call
  revoked?: number; // the grant that a revocation takes back
}
export interface Grant {
  id: number;
  state: 'booked' | 'scheduled' | 'cancelled';
  amount: number;
  source: string;
  priority: number;
  operations: string[] | null;
  effective: number;
  expires: number; // Infinity is never
  origin: number; // itself, unless a refund made it
  revoked: number;
}
export interface Hold {
  id: number;
  state: 'open' | 'captured' | 'released' | 'expired';
  amount: number;
  expires: number;
  ids: Ids;
  parts: Part[];
}
export interface Limit {
  limit_id: string;
  ceiling: number;
  overage: number;
  scope: 'account' | keyof Ids;
  scope_id: string | null;
  pseudonyms?: Record<string, string>; // of ids that it knows on after they were forgotten
  window: 'hour' | 'day' | 'week' | 'period' | 'total';
}
export interface Account {
  unit: string;
  overdraft: number;
  closed: boolean;
  settled: number; // up to when
  grants: Grant[];
  entries: Entry[];
  holds: Hold[];
  limits: Limit[];
  keys: Record<string, { request: string; answer: Answer }>;
  forgotten: { api_key: number; run: number };
}
export type World = Record<string, Account>;
export type Answer = Record<string, unknown>;
// biome-ignore lint/suspicious/noExplicitAny: what the arguments are, the function says
export type Call = { name: string; args: any };

export const empty = (): Account => ({
  unit: 'credit',
  overdraft: 0,
  closed: false,
  settled: 0,
  grants: [],
  entries: [],
  holds: [],
  limits: [],
  keys: {},
  forgotten: { api_key: 0, run: 0 },
});

export class Refusal extends Error {}
export const refuse = (code: string): never => {
  throw new Refusal(code);
};

export const sum = <T>(list: T[], amount: (item: T) => number) =>
  list.reduce((total, item) => total + amount(item), 0);
const of = (grant: number | null) => (part: Part) => (part.grant === grant ? part.amount : 0);
export const total = (parts: Part[]) => sum(parts, (part) => part.amount);

export const left = (a: Account, grant: number | null) => sum(a.entries, of(grant));
export const held = (a: Account, grant: number | null) =>
  sum(a.holds, (hold) => sum(hold.parts, of(grant)));
export const taken = (a: Account, grant: number) =>
  0 - sum(a.entries, (entry) => (entry.revoked === grant ? entry.amount : 0));
export const unheld = (a: Account, grant: Grant): Part => ({
  grant: grant.id,
  amount: left(a, grant.id) - held(a, grant.id),
});
export const debt = (a: Account) => 0 - left(a, null);
export const overdraft = (a: Account): Part => ({
  grant: null,
  amount: Math.max(0, a.overdraft - debt(a) - held(a, null)),
});

/** The first `amount` of a list of parts. */
export function first(parts: Part[], amount: number): Part[] {
  let rest = amount;
  return parts.flatMap((part) => {
    const some = Math.min(part.amount, rest);
    rest -= some;
    return some > 0 ? [{ ...part, amount: some }] : [];
  });
}

const rank = (g: Grant) => [
  g.priority,
  g.operations ? 0 : 1,
  g.expires,
  g.source === 'purchase' ? 1 : 0,
  g.effective,
  g.id,
];
export const inOrder = (one: number[], other: number[]): number => {
  const n = one.findIndex((value, i) => value !== other[i]);
  return n < 0 ? 0 : (one[n] ?? 0) < (other[n] ?? 0) ? -1 : 1;
};

/** What grants have free for an operation, in burn-down order. */
export const free = (a: Account, operation: string | null, at: number) =>
  a.grants
    .filter((g) => g.expires > at && (g.operations?.includes(operation ?? '') ?? true))
    .sort((one, other) => inOrder(rank(one), rank(other)))
    .map((grant) => unheld(a, grant));
export const drawable = (a: Account, operation: string | null, at: number) =>
  a.closed ? [] : [...free(a, operation, at), overdraft(a)];
export const available = (a: Account, operation: string | null, at: number) =>
  total(drawable(a, operation, at));

const DAY = 24 * 3_600_000;
/** The day, or the month with its first day, in which a moment lies. */
export const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10);
export const periodOf = (at: number) => `${dayOf(at).slice(0, 7)}-01`;
/** 1970 began on a Thursday: its first Monday was the 5th of January. */
const weekOf = (at: number) => dayOf(at - ((Math.floor(at / DAY) + 3) % 7) * DAY);
export const windowOf = ({ window }: Limit, at: number) =>
  ({
    hour: () => new Date(at).toISOString().slice(0, 13),
    day: () => dayOf(at),
    week: () => weekOf(at),
    period: () => periodOf(at),
    total: () => null,
  })[window]();

/** The group of a limit that these ids belong to; calls that name no id are a group, too. */
export function scopeOf(limit: Limit, ids: Ids | undefined): string | null {
  const named = limit.scope === 'account' ? 'all' : (ids?.[limit.scope] ?? nobody);
  const id = limit.pseudonyms?.[named] ?? named;
  return id === (limit.scope_id ?? id) ? id : null;
}
export const nobody = '';
const original = (a: Account, entry: Entry) => a.entries[(entry.refunded ?? 0) - 1] ?? entry;
export const spent = (a: Account, limit: Limit, scope: string, at: number) =>
  0 -
  sum(
    a.entries.filter((e) => e.ids && scopeOf(limit, e.ids) === scope),
    (e) => (windowOf(limit, original(a, e).at) === windowOf(limit, at) ? e.amount : 0),
  );
export const reserved = (a: Account, limit: Limit, scope: string, except?: Hold) =>
  sum(a.holds, (h) => (h !== except && scopeOf(limit, h.ids) === scope ? total(h.parts) : 0));

export const spends = ({ kind }: Entry) => kind === 'deduction' || kind === 'capture';

/**
 * How much of an entry has not come back: a deduction through refunds, a repayment through refunds
 * of its debt.
 */
export const remains = (a: Account, entry: Entry, by: 'refunded' | 'repaid') =>
  -entry.amount - sum(a.entries, (e) => (e[by] === entry.id ? e.amount : 0));

/** Of a debt, the part still owed, and then the repayments of it, latest first. */
export const owed = (a: Account): Part[] => [
  { grant: null, amount: debt(a) },
  ...a.entries
    .filter((e) => e.kind === 'repay' && e.grant !== null)
    .reverse()
    .map((e) => ({ grant: e.grant, amount: remains(a, e, 'repaid'), repaid: e.id })),
];
