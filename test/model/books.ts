import type pg from 'pg';
import {
  type Account,
  available,
  debt,
  type Entry,
  held,
  type Limit,
  left,
  nobody,
  periodOf,
  reserved,
  scopeOf,
  spends,
  spent,
  sum,
  taken,
  total,
  unheld,
  type World,
  windowOf,
} from './account.ts';
import { settle } from './settle.ts';

// What the views show of accounts, and what the model expects them to show, in the views' words.

const orders = { grants: 'grant_id', holds: 'hold_id', entries: 'entry_id', invoice: 'period' };
const lists = [...Object.entries(orders), ['usage', 'period'], ['limits', 'limit_id']].map(
  ([view, order]) => `'${view}', (
    select coalesce(jsonb_agg(to_jsonb(v) order by v.${order}), '[]')
    from credits.${view} as v where v.account_id = a.account_id)`,
);
const query = `
  select jsonb_build_object('remaining', to_jsonb(a), ${lists}, 'figures',
    (select to_jsonb(f) from credits_private.figures(a.account_id, $3, $2) as f)) as books
  from credits.remaining as a where a.account_id = any($1) order by a.account_id`;

export interface Moment {
  at: number;
  /** The operation whose figures are read. */
  operation: string | null;
}

/** The views as they are, and the figures as they are at a moment, of some accounts, in order. */
export async function books(client: pg.Client, accounts: string[], { at, operation }: Moment) {
  const values = [accounts, new Date(at).toISOString(), operation];
  const { rows } = await client.query({ name: 'books', text: query, values });
  return rows.map(({ books }) => inOrder(books));
}

export const expectedBooks = (world: World, moment: Moment) =>
  Object.entries(world)
    .sort()
    .map(([account_id, a]) => inOrder(booksOf(account_id, a, moment)));

type Row = Record<string, unknown>;
const place = (row: Row) =>
  JSON.stringify([row.period, row.limit_id, row.scope_id, row.api_key_id, row.operation]);
function inOrder<T extends { usage: Row[]; limits: Row[] }>(books: T): T {
  for (const list of [books.usage, books.limits])
    list.sort((one, other) => (place(one) < place(other) ? -1 : 1));
  return books;
}

const shown = (at: number) =>
  at === Infinity ? null : new Date(at).toISOString().replace('.000', '').replace('Z', '+00:00');
const settled = (a: Account, at: number) => {
  const copy = structuredClone(a);
  settle(copy, at);
  return copy;
};

const figures = (a: Account, operation: string | null, at: number) => {
  const grants = a.grants
    .filter((grant) => grant.expires > at && unheld(a, grant).amount > 0)
    .map((grant) => ({ ...grant, free: unheld(a, grant).amount }));
  const next = Math.min(...grants.map((grant) => grant.expires));
  return {
    available: available(a, operation, at),
    scoped: sum(grants, (grant) => (grant.operations ? grant.free : 0)),
    held: sum(a.holds, (hold) => sum(hold.parts, (part) => part.amount)),
    debt: debt(a),
    next_expiry_at: shown(next),
    next_expiry_amount:
      next === Infinity ? null : sum(grants, (grant) => (grant.expires === next ? grant.free : 0)),
  };
};

const grouped = <T>(list: T[], key: (item: T) => string) =>
  [...new Set(list.map(key))].map((one) => list.filter((item) => key(item) === one));
const by = (entries: Entry[], ...kinds: Entry['kind'][]) =>
  Math.abs(sum(entries, (entry) => (kinds.includes(entry.kind) ? entry.amount : 0)));
const calls = (entries: Entry[]) =>
  entries.filter((e) => e.id === e.transaction && (e.kind === 'deduction' || e.first)).length;
const balance = (a: Account, upTo = Infinity) =>
  sum(a.entries, (entry) => (entry.id <= upTo ? entry.amount : 0));
const use = (entries: Entry[]) => ({
  credits_used: by(entries, 'deduction', 'capture'),
  credits_refunded: by(entries, 'refund'),
  calls: calls(entries),
});

/** By the views' clock nothing of a history is due yet: the history lies in the future. */
const clock = 0;

const booksOf = (account_id: string, a: Account, { at, operation }: Moment) => ({
  remaining: {
    account_id,
    unit: a.unit,
    balance: balance(a),
    overdraft_limit: a.overdraft,
    ...figures(a, null, clock),
  },
  figures: figures(settled(a, at), operation, at),
  grants: a.grants.map((grant) => ({
    grant_id: grant.id,
    amount: grant.amount,
    remaining: left(a, grant.id),
    held: held(a, grant.id),
    revoked: grant.revoked,
    taken: taken(a, grant.id),
    effective_at: shown(grant.effective),
    expires_at: shown(grant.expires),
    origin_grant_id: grant.origin === grant.id ? null : grant.origin,
    source: grant.source,
    priority: grant.priority,
    operations: grant.operations,
  })),
  holds: a.holds.map((hold) => ({
    state: hold.state,
    amount: hold.amount,
    held: sum(hold.parts, (part) => part.amount),
    captured: by(
      a.entries.filter((entry) => entry.hold === hold.id),
      'capture',
    ),
    expires_at: shown(hold.expires),
    api_key_id: hold.ids.api_key ?? null,
    operation: hold.ids.operation ?? null,
    run_id: hold.ids.run ?? null,
  })),
  entries: a.entries.map((entry) => ({
    entry_id: entry.id,
    transaction_id: entry.transaction,
    kind: entry.kind,
    grant_id: entry.grant,
    amount: entry.amount,
    balance_after: balance(a, entry.id),
    period: periodOf(entry.at),
    effective_at: shown(entry.at),
    api_key_id: entry.ids?.api_key ?? null,
    operation: entry.ids?.operation ?? null,
    run_id: entry.ids?.run ?? null,
    refunded_entry_id: entry.refunded ?? null,
    repaid_entry_id: entry.repaid ?? null,
  })),
  invoice: grouped(a.entries, (entry) => periodOf(entry.at)).map((entries) => ({
    period: periodOf(entries[0]?.at ?? clock),
    opening_balance: balance(a, (entries[0]?.id ?? 0) - 1),
    credits_granted: by(entries, 'grant'),
    ...use(entries),
    credits_expired: by(entries, 'expiry'),
    credits_revoked: by(entries, 'revocation'),
    closing_balance: balance(a, entries.at(-1)?.id),
  })),
  usage: grouped(
    a.entries.filter((entry) => entry.ids),
    (entry) => JSON.stringify([periodOf(entry.at), entry.ids?.api_key, entry.ids?.operation]),
  ).map((entries) => ({
    period: periodOf(entries[0]?.at ?? clock),
    api_key_id: entries[0]?.ids?.api_key ?? null,
    operation: entries[0]?.ids?.operation ?? null,
    ...use(entries),
  })),
  limits: a.limits.flatMap((limit) => limitsOf(a, limit)),
});

/** What a limit leaves; of an hour's, a day's or a week's, nothing was used by the views' clock. */
function limitsOf(a: Account, limit: Limit) {
  const at = ['period', 'total'].includes(limit.window) ? a.settled : clock;
  const users = [
    ...a.entries.filter((e) => spends(e) && windowOf(limit, e.at) === windowOf(limit, at)),
    ...a.holds.filter((hold) => hold.state === 'open' && total(hold.parts) > 0),
  ];
  const scopes = [...new Set(users.map((user) => scopeOf(limit, user.ids)))].filter(
    (s) => s !== null,
  );
  const rows = scopes.map((scope) => ({
    scope_id: limit.scope === 'account' || scope === nobody ? null : scope,
    spent: spent(a, limit, scope, at),
    reserved: reserved(a, limit, scope),
  }));
  return (rows.length > 0 ? rows : [{ scope_id: limit.scope_id, spent: 0, reserved: 0 }]).map(
    (row) => ({
      limit_id: limit.limit_id,
      ...row,
      remaining: Math.max(0, limit.ceiling + limit.overage - row.spent - row.reserved),
    }),
  );
}
