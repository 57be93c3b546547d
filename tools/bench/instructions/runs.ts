import * as call from './calls.ts';
import type { Cell } from './cells.ts';

const { calls, round } = call;

/** Calls that are counted together; without a cell, they only prepare for the next ones. */
interface Phase {
  cell?: Cell;
  /** A call is a line of SQL, or two that are counted as one. */
  calls: string[];
}

/** What one server does, line after line, each in a transaction of its own. */
export interface Run {
  prepare: string[];
  warmUp: string[];
  phases: Phase[];
  /** What each row of a line's answer prints, and how many rows it has: a line that fails has none. */
  answer: string;
  rows: number;
}

const deduct = `prepare deduct (text, bigint, text, text, text) as
  select transaction_id, balance, replayed
  from credits.deduct_credits($1, $2, $3, p_api_key_id => $4, p_operation => $5)`;

const once = { answer: 'replayed = "f"', rows: 1 };

/** One call, again and again. */
const repeat = (cell: Cell, one: call.Call, prepare = deduct): Run => ({
  prepare: [prepare],
  warmUp: calls(round, one),
  phases: [{ cell, calls: calls(3 * round, one, round) }],
  ...once,
});

const floor = (cell: Cell, name: string): Run => ({
  ...repeat(
    cell,
    call.deductFromFloor,
    `prepare deduct (text, bigint, text) as
      select transaction_id, balance from bench.${name}($1, $2, $3)`,
  ),
  answer: 'transaction_id = "',
});

const grants = repeat(
  'grant',
  call.grant,
  `prepare give (text, bigint, text) as
    select grant_id, balance, replayed from credits.grant_credits($1, $2, $3)`,
);

// The seed has made these sixty deductions.
const replays: Run = {
  prepare: [deduct],
  warmUp: calls(round, call.deduct('replayed')),
  phases: [
    { cell: 'replay', calls: [1, 2, 3].flatMap(() => calls(round, call.deduct('replayed'))) },
  ],
  answer: 'replayed = "t"',
  rows: 1,
};

const pair: call.Call = (n) => `${call.hold(n)}\n${call.capture(n)}`;

const holds: Run = {
  prepare: [
    `prepare hold (text, bigint, text, text, text) as
      select hold_id, available, replayed
      from credits.hold_credits($1, $2, $3, p_api_key_id => $4, p_operation => $5)`,
    `prepare capture (text, bigint, bigint, text) as
      select transaction_id, balance, replayed from credits.capture_hold($1, $2, $3, $4)`,
  ],
  warmUp: calls(round, pair),
  phases: [
    { cell: 'pair', calls: calls(round, pair, round) },
    { cell: 'hold', calls: calls(round, call.hold, 2 * round) },
    { cell: 'capture', calls: calls(round, call.capture, 2 * round) },
  ],
  ...once,
};

// An account's first entries are the seed's: 1 is a grant, 2 a deduction. In the warm-up each deduction
// is followed by its refund; then all deductions come first.
const refundOfLast = call.refund((turn) => 3 + 2 * turn);
const refunds: Run = {
  prepare: [
    deduct,
    `prepare refund (text, bigint, text) as
      select transaction_id, balance, replayed from credits.refund_credits($1, $2, $3)`,
  ],
  warmUp: calls(round, (n) => `${call.deduct('refunded')(n)}\n${refundOfLast(n)}`),
  phases: [
    { calls: calls(2 * round, call.deduct('refunded'), round) },
    {
      cell: 'refund',
      calls: calls(
        2 * round,
        call.refund((turn) => 6 + turn),
        round,
      ),
    },
  ],
  ...once,
};

const batches: Run = {
  prepare: [
    `prepare batch (jsonb) as
      select deduction, transaction_id, balance, replayed, error_code
      from credits.deduct_credits_batch($1)`,
  ],
  warmUp: calls(20, call.batch),
  phases: [{ cell: 'batch', calls: calls(20, call.batch, 20) }],
  ...once,
  rows: 100,
};

/** The longest first. */
export const runs: Run[] = [
  holds,
  batches,
  refunds,
  grants,
  repeat('limit', call.deduct('limited')),
  repeat('scoped', call.deduct('scoped')),
  repeat('in-scope', call.deduct('scoped', '/search')),
  repeat('held', call.deduct('held')),
  repeat('deduct', call.deduct('acct')),
  replays,
  floor('floor', 'deduct_from_floor'),
  floor('floor-sql', 'deduct_from_sql_floor'),
];
