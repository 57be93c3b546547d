// What each function does to an account that is open and settled, and what it answers. Whatever it
// refuses, it refuses before it writes.

import {
  type Account,
  type Answer,
  available,
  type Call,
  drawable,
  type Entry,
  first,
  type Hold,
  type Ids,
  type Limit,
  owed,
  type Part,
  refuse,
  remains,
  reserved,
  scopeOf,
  spends,
  spent,
  sum,
  total,
  unheld,
  windowOf,
} from './account.ts';
import { begin, book, end, giveBack, grantOf, outstanding, spend, tidy } from './settle.ts';

/** The soft limits whose ceiling a call would leave behind. */
function checkLimits(a: Account, at: number, amount: number, ids: Ids, capturing?: Hold) {
  const exceeded: string[] = [];
  for (const limit of a.limits) {
    const scope = scopeOf(limit, ids);
    if (scope === null) continue;
    const after = spent(a, limit, scope, at) + reserved(a, limit, scope, capturing) + amount;
    if (amount > 0 && after > limit.ceiling + limit.overage) refuse('PT429'); // nothing passes none
    if (after > limit.ceiling) exceeded.push(limit.limit_id);
  }
  return exceeded.length > 0 ? exceeded.sort() : null;
}

function draw(a: Account, at: number, amount: number, ids: Ids) {
  if (available(a, ids.operation, at) < amount) refuse('PT402');
  return first(drawable(a, ids.operation, at), amount);
}

function openHold(a: Account, id: number): Hold {
  const hold = a.holds[id - 1] ?? refuse('PT404');
  return hold.state === 'open' ? hold : refuse('PT410');
}

/**
 * Whether a limit goes on counting an id: the limit names it, knows it or counts it now, or a hold
 * has it.
 */
const isKnownTo = (limit: Limit, a: Account, id: string, at: number) =>
  limit.scope_id === id ||
  Object.values(limit.pseudonyms ?? {}).includes(id) ||
  a.entries.some((e) => e.ids && scopeOf(limit, e.ids) === id && isIn(limit, a, e, at)) ||
  a.holds.some((hold) => hold.state === 'open' && scopeOf(limit, hold.ids) === id);
const isIn = (limit: Limit, a: Account, entry: Entry, at: number) =>
  windowOf(limit, (a.entries[(entry.refunded ?? 0) - 1] ?? entry).at) === windowOf(limit, at);

const idsOf = (args: Call['args']): Ids => ({
  api_key: args.api_key_id,
  operation: args.operation,
  run: args.run_id,
});

// biome-ignore lint/suspicious/noExplicitAny: the arguments are the function's, by their names in SQL
export const functions: Record<string, (a: Account, at: number, args: any) => Answer | null> = {
  open_account(a, _at, { unit, overdraft_limit }) {
    const hasAmounts = a.entries.length + a.grants.length + a.limits.length > 0;
    if (hasAmounts && unit !== null && unit !== a.unit) refuse('PT409');
    a.unit = unit ?? a.unit;
    a.overdraft = overdraft_limit ?? a.overdraft;
    return {};
  },

  grant_credits(a, at, args) {
    const { amount, source, priority, expires_at, expires_in, effective_at, operations } = args;
    const effective = effective_at ?? at;
    const expires = expires_at ?? effective + (expires_in ?? Infinity);
    if (expires <= Math.max(effective, at)) refuse('22023');
    const id = a.grants.length + 1;
    const grant = { id, origin: id, amount, source, priority, operations, effective, expires };
    a.grants.push({ ...grant, state: 'scheduled', revoked: 0 });
    const transaction_id = effective > at ? null : begin(a, grantOf(a, id), at);
    return { grant_id: id, transaction_id, amount };
  },

  deduct_credits(a, at, { amount, ...args }) {
    const ids = idsOf(args);
    const exceeded_limits = checkLimits(a, at, amount, ids);
    const parts = amount > 0 ? draw(a, at, amount, ids) : [];
    const transaction_id = book(a, 'deduction', at, spend(parts), { ids });
    return { transaction_id, amount, exceeded_limits, refunded: 0 };
  },

  refund_credits(a, at, { transaction_id, amount }) {
    const entries = a.entries.filter((e) => e.transaction === transaction_id);
    const { ids } = entries[0] ?? refuse('PT404');
    if (!entries.every(spends)) refuse('PT409');
    const parts = entries
      .toReversed()
      .map((e) => ({ grant: e.grant, amount: remains(a, e, 'refunded'), refunded: e.id }));
    const most = total(parts);
    if (most < (amount ?? 1)) refuse('PT409');
    const transaction = a.entries.length + 1;
    const freed: Part[] = [];
    for (const part of first(parts, amount ?? most))
      for (const back of part.grant === null ? first(owed(a), part.amount) : [part]) {
        freed.push(giveBack(a, at, { ...part, ...back }));
        book(a, 'refund', at, freed.slice(-1), { transaction, ids });
      }
    tidy(a, at, freed);
    return { transaction_id: transaction, amount: amount ?? most };
  },

  hold_credits(a, at, { amount, expires_in, ...args }) {
    const ids = idsOf(args);
    const exceeded_limits = checkLimits(a, at, amount, ids);
    const parts = draw(a, at, amount, ids);
    const id = a.holds.length + 1;
    a.holds.push({ id, state: 'open', amount, expires: at + expires_in, ids, parts });
    return { hold_id: id, amount, exceeded_limits };
  },

  capture_hold(a, at, { hold_id, amount, final }) {
    const hold = openHold(a, hold_id);
    const { ids, parts } = hold;
    const excess = amount - total(parts);
    const exceeded_limits = excess > 0 ? checkLimits(a, at, amount, ids, hold) : null;
    const more = excess > 0 ? draw(a, at, excess, ids) : [];
    const part = [...first(parts, amount), ...more];
    const isFirst = !a.entries.some((e) => e.kind === 'capture' && e.hold === hold_id);
    const of = { ids, hold: hold_id, first: isFirst };
    const transaction_id = book(a, 'capture', at, spend(part), of);
    hold.parts = first(parts.toReversed(), -excess).reverse(); // the first are spent
    const reserves = total(hold.parts);
    if (final) end(a, hold, amount > 0 ? 'captured' : 'released', at);
    else tidy(a, at, []);
    const answer = { hold_id, transaction_id, amount, exceeded_limits, refunded: 0 };
    return { ...answer, held: final ? 0 : reserves };
  },

  release_hold(a, at, { hold_id }) {
    const hold = openHold(a, hold_id);
    const amount = total(hold.parts);
    end(a, hold, 'released', at);
    return { hold_id, amount };
  },

  extend_hold(a, at, { hold_id, expires_in }) {
    const hold = openHold(a, hold_id);
    hold.expires = Math.max(hold.expires, at + expires_in);
    return { hold_id, amount: total(hold.parts) };
  },

  revoke_grant(a, at, { grant_id, amount, on_spent }) {
    const grant = grantOf(a, grantOf(a, grant_id).origin);
    const lots = a.grants.filter((g) => g.origin === grant.id);
    const expired = sum(a.entries, (e) =>
      e.kind === 'expiry' && lots.some((g) => g.id === e.grant) ? -e.amount : 0,
    );
    grant.revoked = Math.max(
      grant.revoked,
      Math.min(grant.amount - expired, grant.revoked + (amount ?? grant.amount)),
    );
    if (grant.state === 'scheduled' && grant.revoked === grant.amount) grant.state = 'cancelled';
    const most = outstanding(a, grant);
    const asDebt = on_spent === 'debt' && grant.state === 'booked' ? most : 0;
    const parts = first([...lots.map((g) => unheld(a, g)), { grant: null, amount: asDebt }], most);
    const transaction_id = book(a, 'revocation', at, spend(parts), { revoked: grant.id });
    tidy(a, at, []);
    return {
      grant_id: grant.id,
      transaction_id,
      amount: total(parts),
      outstanding: outstanding(a, grant),
    };
  },

  set_limit(a, _at, limit) {
    const old = a.limits.find((l) => l.limit_id === limit.limit_id);
    const counts = (l: Limit) => JSON.stringify([l.scope, l.scope_id, l.window]);
    const known = old && counts(old) === counts(limit) ? { pseudonyms: old.pseudonyms } : {};
    a.limits = [...a.limits.filter((l) => l !== old), { ...limit, ...known }];
    return null;
  },

  remove_limit(a, _at, { limit_id }) {
    a.limits = a.limits.filter((l) => l.limit_id !== limit_id);
    return null;
  },

  set_overdraft_limit(a, _at, { overdraft_limit }) {
    a.overdraft = overdraft_limit;
    return {};
  },

  settle_account: () => ({}),

  close_account(a) {
    a.closed = true;
    for (const grant of a.grants) if (grant.state === 'scheduled') grant.state = 'cancelled';
    return {};
  },

  forget_account(a, at) {
    const isOver = a.closed && sum(a.holds, (hold) => total(hold.parts)) === 0;
    if (isOver) a.limits = a.limits.filter(({ scope }) => !/api_key|run/.test(scope));
    for (const kind of ['api_key', 'run'] as const) {
      const before = structuredClone(a);
      const names: Record<string, string> = {};
      const forget = (id: string | null) => {
        if (id === null || id.startsWith('forgotten')) return id;
        if (!(id in names)) a.forgotten[kind] += 1;
        names[id] ??= `forgotten ${kind.replace('_', ' ')} ${a.forgotten[kind]}`;
        return names[id];
      };
      for (const { ids } of [...a.entries, ...a.holds]) if (ids) ids[kind] = forget(ids[kind]);
      for (const limit of a.limits.filter(({ scope }) => scope === kind))
        for (const [id, name] of Object.entries(names))
          if (isKnownTo(limit, before, id, at))
            limit.pseudonyms = { ...limit.pseudonyms, [name]: id };
    }
    return {};
  },
};
