import type { Random } from '../random.ts';

export type Kind = 'grant' | 'deduct' | 'refund' | 'hold' | 'capture' | 'release';

/** What one idempotency key stands for. */
export interface Part {
  kind: Kind;
  account: string;
  key: string;
  amount: number;
  /** The hold of a capture or a release. */
  hold?: number;
  final?: boolean;
}

/** One statement: one part, or a batch of parts. */
export interface Call {
  parts: Part[];
  text: string;
  values: unknown[];
  /** In a transaction with a row of the app's own. */
  inTransaction: boolean;
}

/** What a function returned for a part; in a batch, a part can be refused alone. */
export interface Answer {
  transaction_id?: number | null;
  hold_id?: number;
  amount: number | null;
  balance: number | null;
  available: number | null;
  held?: number;
  replayed: boolean | null;
  error_code?: string | null;
}

/** What a caller knows from its answers, and can build on. */
export interface Known {
  spent: { account: string; transaction: number; left: number }[];
  holds: { account: string; hold: number; held: number }[];
}

export const accounts = ['hot', 'a', 'b', 'c', 'd', 'e'] as const;

/** A caller's next call: of any sort, and often for the account that all callers use. */
export function nextCall(random: Random, known: Known, newKey: () => string): Call {
  const { below, pick } = random;
  const part = (kind: Kind, most: number): Part => ({
    kind,
    account: pick('hot', ...accounts),
    key: newKey(),
    amount: 1 + below(most),
  });
  const choice = below(100);
  const held = choice < 20 && known.holds.pop();
  if (held) {
    const { account, hold } = held;
    return endHold({ ...part('capture', held.held), account, hold }, choice);
  }
  const spent = choice < 30 && known.spent.pop();
  if (spent) return refund({ ...part('refund', spent.left), account: spent.account }, spent, pick);
  if (choice < 45) return hold(part('hold', 40));
  if (choice < 55) return grant(part('grant', 150));
  // One in eight is free.
  const deduction = (most: number): Part => ({
    ...part('deduct', most),
    ...(below(8) === 0 ? { amount: 0 } : {}),
  });
  if (choice < 65) return batch(Array.from({ length: 2 + below(5) }, () => deduction(12)));
  return deduct(deduction(20), pick(true, false, false));
}

export const grant = (part: Part): Call => ({
  parts: [part],
  text: `select transaction_id, amount, balance, available, replayed
    from credits.grant_credits($1, $2, $3)`,
  values: [part.account, part.amount, part.key],
  inTransaction: false,
});

export const deduct = (part: Part, inTransaction = false): Call => ({
  parts: [part],
  text: `select transaction_id, amount, balance, available, replayed
    from credits.deduct_credits($1, $2, $3, p_api_key_id => 'key', p_operation => 'search')`,
  values: [part.account, part.amount, part.key],
  inTransaction,
});

function refund(part: Part, spent: { transaction: number }, pick: Random['pick']): Call {
  return {
    parts: [part],
    text: `select transaction_id, amount, balance, available, replayed
      from credits.refund_credits($1, $2, $3, $4)`,
    values: [part.account, spent.transaction, part.key, part.amount],
    inTransaction: pick(true, false, false),
  };
}

export const hold = (part: Part): Call => ({
  parts: [part],
  text: `select hold_id, amount, balance, available, replayed
    from credits.hold_credits($1, $2, $3, p_operation => 'agent')`,
  values: [part.account, part.amount, part.key],
  inTransaction: false,
});

function endHold(part: Part & { hold: number }, choice: number): Call {
  const inTransaction = choice % 3 === 0;
  if (choice < 4)
    return {
      parts: [{ ...part, kind: 'release' }],
      text: `select hold_id, amount, balance, available, replayed
        from credits.release_hold($1, $2, $3)`,
      values: [part.account, part.hold, part.key],
      inTransaction,
    };
  const final = choice < 14;
  return {
    parts: [{ ...part, final }],
    text: `select hold_id, transaction_id, amount, balance, available, held, replayed
      from credits.capture_hold($1, $2, $3, $4, $5)`,
    values: [part.account, part.hold, part.amount, part.key, final],
    inTransaction,
  };
}

function batch(parts: Part[]): Call {
  const deductions = parts.map(({ account, amount, key }) => ({
    account_id: account,
    amount,
    idempotency_key: key,
  }));
  return {
    parts,
    text: `select transaction_id, amount, balance, available, replayed, error_code
      from credits.deduct_credits_batch($1) order by deduction`,
    values: [JSON.stringify(deductions)],
    inTransaction: false,
  };
}
