// What the ledger should do, as naively as it can be said. Written from ARCHITECTURE.md, 'What the
// ledger does, exactly'; of the SQL it knows the names.

import {
  type Account,
  type Answer,
  available,
  type Call,
  empty,
  Refusal,
  refuse,
  sum,
  type World,
} from './account.ts';
import { functions } from './functions.ts';
import { settle } from './settle.ts';

/** What goes on when an account is closed. */
const ends = /^(refund|capture|release|revoke|settle|close|forget)_/;

function isMalformed({ name, args }: Call): boolean {
  const texts = [args.account_id, 'idempotency_key' in args ? args.idempotency_key : 'key'];
  const counts = ['amount', 'ceiling', 'overdraft_limit', 'expires_in'].map((n) => args[n] ?? 1);
  const least = /capture|deduct|limit|open/.test(name) ? 0 : 1;
  return (
    texts.some((text) => text === null || text.length < 1 || text.length > 255) ||
    counts.some((n) => n < least || n >= 2 ** 53) ||
    (name === 'capture_hold' && args.amount === 0 && !args.final)
  );
}

/** What has been refunded of a transaction since: the only current figure in a replay. */
const refundedOf = (a: Account, { transaction_id, refunded }: Answer) =>
  refunded === undefined
    ? {}
    : {
        refunded: sum(a.entries, (e) => {
          const original = a.entries[(e.refunded ?? 0) - 1];
          return original && original.transaction === transaction_id ? e.amount : 0;
        }),
      };

/** One call, in the order of every call. A refused call may leave what it settled. */
function answer(world: World, at: number, call: Call): Answer {
  const { account_id, idempotency_key: key = null, ...rest } = call.args;
  if (isMalformed(call)) refuse('22023');
  if (/^(grant_credits|open_account)$/.test(call.name)) world[account_id] ??= empty();
  const a = world[account_id] ?? refuse('PT404');
  const request = JSON.stringify([call.name, rest]);
  const known = a.keys[key];
  if (known && known.request !== request) refuse('PT409');
  if (known) return { ...known.answer, ...refundedOf(a, known.answer), replayed: true };
  if (a.closed && !ends.test(call.name)) refuse('PT423');
  settle(a, at);
  const own = functions[call.name]?.(a, at, rest) ?? null;
  if (own === null) return {};
  const balance = sum(a.entries, (entry) => entry.amount);
  const result = { ...own, balance, available: available(a, null, at) };
  if (key === null) return result;
  a.keys[key] = { request, answer: result };
  return { ...result, replayed: false };
}

/** The world after a call at a moment, and the call's answer. */
export function perform(world: World, at: number, { name, args }: Call): [World, Answer[]] {
  const after = structuredClone(world);
  const attempt = (call: Call): Answer => {
    try {
      return answer(after, at, call);
    } catch (error) {
      if (error instanceof Refusal) return { code: error.message };
      throw error;
    }
  };
  if (name === 'settle_due') {
    for (const account of Object.values(after)) settle(account, at);
    return [after, [{}]];
  }
  const isBatch = name === 'deduct_credits_batch';
  const calls = isBatch ? args.deductions : [args];
  const answers = calls.map((one: Call['args']) =>
    attempt({ name: isBatch ? 'deduct_credits' : name, args: one }),
  );
  const refused = answers.find((one: Answer) => 'code' in one);
  return refused && !(isBatch && !args.all_or_nothing) ? [world, [refused]] : [after, answers];
}
