import {
  type Account,
  debt,
  type Entry,
  first,
  free,
  type Grant,
  type Hold,
  inOrder,
  type Part,
  refuse,
  sum,
  taken,
  unheld,
} from './account.ts';

// What the model writes into an account's lists, and what comes due in it by itself.

const DAY = 24 * 3_600_000;
export const grantOf = (a: Account, id: number | null) =>
  a.grants[(id ?? 0) - 1] ?? refuse('PT404');
export const outstanding = (a: Account, g: Grant) =>
  g.state === 'cancelled' ? 0 : g.revoked - taken(a, g.id);

type More = Omit<Partial<Entry>, keyof Part>;
export function book(a: Account, kind: Entry['kind'], at: number, parts: Part[], more: More = {}) {
  const transaction = a.entries.length + 1;
  for (const part of parts)
    a.entries.push({ id: a.entries.length + 1, transaction, kind, at, ...more, ...part });
  return parts.length > 0 ? transaction : null;
}
export const spend = (parts: Part[]) => parts.map((part) => ({ ...part, amount: -part.amount }));

/** What was booked as debt for a grant, less what came back since and repaid. */
function revokedDebt(a: Account, { id }: Grant) {
  const booked = a.entries.filter((e) => e.revoked === id && e.grant === null);
  const repaid = a.entries.slice(booked[0]?.id ?? Infinity).filter((e) => e.kind === 'repay');
  const own = repaid.filter((e) => e.grant !== null && grantOf(a, e.grant).origin === id);
  return sum(own, (e) => e.amount) - sum(booked, (e) => e.amount);
}

/** What must go once credit is free again: credit that is revoked, expired or beside debt. */
export function tidy(a: Account, at: number, freed: Part[]) {
  for (const { grant: id, amount } of freed) {
    if (id === null) continue;
    const grant = grantOf(a, id);
    const origin = grantOf(a, grant.origin);
    const back = first([unheld(a, grant)], outstanding(a, origin));
    book(a, 'revocation', at, spend(back), { revoked: origin.id });
    const canRepay = grant.operations === null && grant.expires > at;
    const came = amount - sum(back, (part) => part.amount); // not what had come before that debt
    const owed = canRepay ? 0 : Math.min(came, debt(a), revokedDebt(a, origin));
    const instead = first([unheld(a, grant)], Math.max(0, owed));
    const pairs = instead.flatMap((part) => [{ ...part, grant: null }, ...spend([part])]);
    book(a, 'revocation', at, pairs, { revoked: origin.id });
    if (grant.expires <= at) expire(a, grant, at);
  }
  const repaid = first(free(a, null, at), debt(a));
  const pairs = repaid.flatMap((p) => [...spend([p]), { grant: null, amount: p.amount }]);
  book(a, 'repay', at, pairs);
}

const expire = (a: Account, grant: Grant, at: number) =>
  book(a, 'expiry', at, spend(first([unheld(a, grant)], Infinity)));

export function end(a: Account, hold: Hold, state: Hold['state'], at: number) {
  const freed = hold.parts;
  Object.assign(hold, { state, parts: [] });
  tidy(a, at, freed);
}

export function begin(a: Account, grant: Grant, at: number) {
  grant.state = 'booked';
  const parts = [{ grant: grant.id, amount: grant.amount }];
  const transaction = book(a, 'grant', at, parts);
  tidy(a, at, parts);
  return transaction;
}

/** All that comes due by itself: at the same moment holds first, then expiries, then grants. */
const dues = (a: Account) =>
  [
    ...a.holds.map((hold) => ({
      due: hold.state === 'open' ? [hold.expires, 1, hold.id] : [],
      book: () => end(a, hold, 'expired', hold.expires),
    })),
    ...a.grants.map((grant) => ({
      due: unheld(a, grant).amount > 0 ? [grant.expires, 2, grant.id] : [],
      book: () => expire(a, grant, grant.expires),
    })),
    ...a.grants.map((grant) => ({
      due: grant.state === 'scheduled' ? [grant.effective, 3, grant.id] : [],
      book: () => begin(a, grant, grant.effective),
    })),
  ]
    .filter(({ due: [at = Infinity] }) => at < Infinity)
    .sort((one, other) => inOrder(one.due, other.due));
export const nextDue = (a: Account) => dues(a)[0]?.due[0] ?? Infinity;
export function settle(a: Account, at: number) {
  while (nextDue(a) <= at) dues(a)[0]?.book();
  a.settled = at;
}

/** The grant that a part returns to: its own, or a new one if that has expired. */
export function giveBack(a: Account, at: number, part: Part): Part {
  if (part.grant === null) return part;
  const old = grantOf(a, part.grant);
  if (old.expires > at) return part;
  const id = a.grants.length + 1;
  const { amount } = part;
  a.grants.push({
    ...old,
    id,
    amount,
    source: 'refund',
    effective: at,
    expires: at + 30 * DAY,
    revoked: 0,
  });
  return { ...part, grant: id };
}
