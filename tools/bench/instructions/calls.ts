// The arguments of a call, by its number: twenty accounts take turns, with three API keys each.

const accounts = 20;
const keys = 3;
/** Every account with every key. */
export const round = accounts * keys;

export type Call = (n: number) => string;

export const calls = (count: number, call: Call, from = 0) =>
  Array.from({ length: count }, (_, i) => call(from + i));

/** How many calls the account had before. */
export const turn = (n: number) => Math.floor(n / accounts);
export const account = (kind: string, n: number) => `'${kind}-${(n % accounts) + 1}'`;
export const apiKey = (n: number) => `key_live_${(turn(n) % keys) + 1}`;
export const request = (word: string, n: number) => `${word} ${String(n).padStart(6, '0')}`;

export const deduct =
  (kind: string, operation = '/execute'): Call =>
  (n) =>
    `execute deduct(${account(kind, n)}, 1, '${request('request', n)}', '${apiKey(n)}', '${operation}')`;

export const deductFromFloor: Call = (n) =>
  `execute deduct(${account('acct', n)}, 1, '${request('request', n)}')`;

export const grant: Call = (n) =>
  `execute give(${account('granted', n)}, 1000, '${request('grant', n)}')`;

export const hold: Call = (n) =>
  `execute hold(${account('holding', n)}, 10, '${request('hold', n)}', '${apiKey(n)}', '/execute')`;

/** The id of the hold with the same number: each account counts its holds from 1. */
export const capture: Call = (n) =>
  `execute capture(${account('holding', n)}, ${turn(n) + 1}, 7, '${request('capture', n)}')`;

export const refund =
  (transaction: (turn: number) => number): Call =>
  (n) =>
    `execute refund(${account('refunded', n)}, ${transaction(turn(n))}, '${request('refund', n)}')`;

export const batch: Call = (n) => {
  const deductions = Array.from({ length: 100 }, (_, i) => ({
    account_id: account('batched', n).slice(1, -1),
    amount: 1,
    idempotency_key: `${request('batch', n)} ${String(i).padStart(2, '0')}`,
    api_key_id: `key_live_${(i % keys) + 1}`,
    operation: '/execute',
  }));
  return `execute batch('${JSON.stringify(deductions)}')`;
};
