import type pg from 'pg';
import type { Finding } from '../../scripts/verify/checks.ts';
import { type Acknowledged, isFree } from './journal.ts';

const finding = (
  check: string,
  account: string,
  subject: string,
  expected: string,
  actual: string,
): Finding => ({ check, account_id: account, subject, expected, actual });

const nameOf = (account: string, key: string) => `${account}\0${key}`;

/** Each acknowledged transaction is in the ledger, once, as its answer said; no other has a key. */
export async function bookedOnce(client: pg.Client, all: Acknowledged[]): Promise<Finding[]> {
  const { rows } = await client.query(
    `select account_id, idempotency_key, transaction_id, amount, balance_after
     from credits.transactions where idempotency_key is not null`,
  );
  const describe = (transaction: unknown, amount: number, balance: unknown) =>
    `transaction ${transaction}, amount ${Math.abs(amount)}, balance ${balance}`;
  const booked = new Map<string, string[]>();
  for (const row of rows) {
    const name = nameOf(row.account_id, row.idempotency_key);
    const said = describe(row.transaction_id, row.amount, row.balance_after);
    booked.set(name, [...(booked.get(name) ?? []), said]);
  }
  const found: Finding[] = [];
  for (const { part, answer } of all) {
    if (part.kind === 'hold' || part.kind === 'release' || isFree(part)) continue;
    const name = nameOf(part.account, part.key);
    const actual = booked.get(name)?.join('; ') ?? 'nothing';
    booked.delete(name);
    const expected = describe(answer.transaction_id, answer.amount ?? 0, answer.balance);
    if (actual !== expected)
      found.push(finding('acknowledged_is_booked', part.account, part.key, expected, actual));
  }
  for (const [name, actual] of booked) {
    const [account = '', key = ''] = name.split('\0');
    found.push(finding('booked_is_acknowledged', account, key, 'nothing', actual.join('; ')));
  }
  return found;
}

/** The same for the keys of all calls: holds, releases and deductions of 0 write no transaction. */
export async function keysAsAcknowledged(
  client: pg.Client,
  all: Acknowledged[],
): Promise<Finding[]> {
  const { rows } = await client.query(
    `select account_id, idempotency_key from credits_private.idempotency_keys
     union
     select account_id, idempotency_key from credits_private.entries
     where idempotency_key is not null`,
  );
  const kept = new Set(rows.map((row) => nameOf(row.account_id, row.idempotency_key)));
  const missing = all.filter(({ part }) => !kept.delete(nameOf(part.account, part.key)));
  return [
    ...missing.map(({ part }) =>
      finding('acknowledged_is_kept', part.account, part.key, 'its key', 'nothing'),
    ),
    ...[...kept].map((name) => {
      const [account = '', key = ''] = name.split('\0');
      return finding('kept_is_acknowledged', account, key, 'nothing', 'its key');
    }),
  ];
}

/** Balance, held, available, usage and holds are what the acknowledged calls add up to. */
export async function remainingAddsUp(client: pg.Client, all: Acknowledged[]): Promise<Finding[]> {
  const { rows } = await client.query(
    `select r.account_id, r.balance, r.held, r.available, coalesce(u.used, 0) as used,
       coalesce(u.refunded, 0) as refunded, coalesce(u.calls, 0) as calls, h.holds
     from credits.remaining as r
     left join (
       select account_id, sum(credits_used)::bigint as used,
         sum(credits_refunded)::bigint as refunded, sum(calls)::bigint as calls
       from credits.usage group by account_id
     ) as u on u.account_id = r.account_id
     cross join lateral (
       select count(*) as holds from credits.holds as h where h.account_id = r.account_id
     ) as h`,
  );
  const actual = new Map(rows.map(({ account_id, ...figures }) => [account_id, figures]));
  const expected = addUp(all);
  return [...new Set([...actual.keys(), ...expected.keys()])].flatMap((account) => {
    const [should, is] = [expected.get(account), actual.get(account)];
    return Object.entries(should ?? emptyFigures()).flatMap(([name, value]) =>
      is?.[name] === value
        ? []
        : [finding('remaining_adds_up', account, name, `${value}`, `${is?.[name] ?? 'nothing'}`)],
    );
  });
}

function emptyFigures() {
  return { balance: 0, held: 0, available: 0, used: 0, refunded: 0, calls: 0, holds: 0 };
}

function addUp(all: Acknowledged[]) {
  const sums = new Map<string, ReturnType<typeof emptyFigures>>();
  const open = new Map<string, number>(); // what each hold still reserves
  const captured = new Set<string>(); // holds that have counted as a call
  // In the order of the calls: a hold comes before its captures.
  for (const { part, answer } of all) {
    const sum = sums.get(part.account) ?? emptyFigures();
    sums.set(part.account, sum);
    const { kind, amount, final } = part;
    const hold = nameOf(part.account, String(part.hold ?? answer.hold_id));
    if (kind === 'grant') sum.balance += amount;
    if (kind === 'refund') sum.refunded += amount;
    if (kind === 'deduct' || kind === 'capture') sum.used += amount;
    if ((kind === 'deduct' && amount > 0) || (kind === 'capture' && !captured.has(hold)))
      sum.calls += 1;
    if (kind === 'capture') captured.add(hold);
    if (kind === 'hold') {
      sum.holds += 1;
      open.set(hold, amount);
    }
    if (kind === 'capture') open.set(hold, final ? 0 : (open.get(hold) ?? 0) - amount);
    if (kind === 'release') open.set(hold, 0);
  }
  for (const [name, held] of open) {
    const sum = sums.get(name.split('\0', 1)[0] ?? '');
    if (sum) sum.held += held;
  }
  for (const sum of sums.values()) {
    sum.balance += sum.refunded - sum.used;
    sum.available = sum.balance - sum.held;
  }
  return sums;
}
