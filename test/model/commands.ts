import fc from 'fast-check';

// What can happen next: calls of every function that changes something. What depends on the history
// so far is said relative to it (so many calls back, until the next expiry), so that a history from
// which steps are left out is a history still.

// biome-ignore lint/suspicious/noExplicitAny: what the arguments are, the function says
export type Arguments = Record<string, any>;
export interface Command {
  name: string;
  account: string;
  args: Arguments;
  /** The key of a call so many calls back, instead of one of its own. */
  keyOf?: number | undefined;
  /** Arguments that are most likely wrong. */
  spoilt?: Arguments | undefined;
}
export interface Step {
  /** In hours; or until the next thing that comes due by itself, exactly or not quite. */
  wait: number | 'due' | 'nearly due';
  /** One, or two at once. */
  commands: Command[];
  /** Which connection is the first one's. */
  client: number;
}

/** Plain objects, which read better in a counterexample. */
const record = <T>(arbitraries: { [Name in keyof T]: fc.Arbitrary<T[Name]> }) =>
  fc.record<T>(arbitraries, { noNullPrototype: true });

export const HOUR = 3_600_000;
const hours = fc.constantFrom(2, 24, 60, 400).map((count) => count * HOUR);
const amount = fc.integer({ min: 1, max: 25 });
const part = fc.option(amount, { freq: 2 });
const back = fc.nat({ max: 6 });
const key = { idempotency_key: fc.constant(null) };
const ids = {
  api_key_id: fc.constantFrom(null, 'key 1', 'key 2'),
  operation: fc.constantFrom(null, null, 'search', 'execute'),
  run_id: fc.constantFrom(null, null, 'run 1'),
};
const deduction = {
  amount: fc.oneof({ weight: 20, arbitrary: amount }, { weight: 1, arbitrary: fc.constant(0) }),
  ...key,
  ...ids,
};
const grant = {
  amount: fc.integer({ min: 1, max: 90 }),
  ...key,
  source: fc.constantFrom('purchase', 'promotion'),
  priority: fc.constantFrom(100, 100, 10),
  lastsAs: fc.constantFrom('moment', 'interval'),
  lasts: fc.constantFrom(null, null, null, 3, 24, 30, 200, 720),
  begins: fc.constantFrom(null, null, null, null, -2, 1, 3, 24),
  operations: fc.constantFrom(null, null, ['search'], ['execute', 'search']),
};
const limit = {
  limit_id: fc.constantFrom('soft', 'hard'),
  ceiling: fc.integer({ min: 0, max: 90 }),
  window: fc.constantFrom('hour', 'day', 'week', 'period', 'total'),
  overage: fc.constantFrom(0, 0, 20),
};
const scope = fc.constantFrom(
  { scope: 'account', scope_id: null },
  { scope: 'api_key', scope_id: null },
  { scope: 'api_key', scope_id: 'key 1' },
  { scope: 'operation', scope_id: 'search' },
  { scope: 'run', scope_id: null },
);
const overdraft_limit = fc.constantFrom(0, 20, 50);

const spoilt = fc.constantFrom<Arguments>(
  { amount: -1 },
  { amount: 2 ** 53 },
  { idempotency_key: null },
  { idempotency_key: '' },
  { idempotency_key: 'k'.repeat(256) },
  { account_id: '' },
  { expires_in: 0 },
  { ceiling: -1 },
  { overdraft_limit: 2 ** 53 },
  { transaction_id: 1 },
  { transaction_id: 3 },
  { hold_id: 1 },
  { hold_id: 9 },
  { grant_id: 30 },
);
export const accounts = ['a', 'b'];
const account = fc.oneof(
  { weight: 7, arbitrary: fc.constant('a') },
  { weight: 1, arbitrary: fc.constant('b') },
);
const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 25, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

const command = (name: string, args: fc.Arbitrary<Arguments>): fc.Arbitrary<Command> =>
  record({
    name: fc.constant(name),
    account,
    args,
    keyOf: rarely(back),
    spoilt: rarely(spoilt),
  });
const call = (weight: number, name: string, args: Record<string, fc.Arbitrary<unknown>>) => ({
  weight,
  arbitrary: command(name, record(args)),
});

const anyCommand = fc.oneof(
  call(60, 'grant_credits', grant),
  call(50, 'deduct_credits', deduction),
  call(30, 'refund_credits', { back, ...key, amount: part }),
  call(36, 'hold_credits', { amount, ...key, expires_in: hours, ...ids }),
  call(24, 'capture_hold', {
    back,
    amount: fc.integer({ min: 0, max: 25 }),
    ...key,
    final: fc.boolean(),
  }),
  call(8, 'release_hold', { back, ...key }),
  call(6, 'extend_hold', { back, expires_in: hours }),
  call(14, 'revoke_grant', {
    back,
    ...key,
    amount: part,
    on_spent: fc.constantFrom('clamp', 'debt'),
  }),
  {
    weight: 6,
    arbitrary: command(
      'set_limit',
      fc.tuple(record(limit), scope).map(([one, other]) => ({ ...one, ...other })),
    ),
  },
  call(2, 'remove_limit', { limit_id: limit.limit_id }),
  call(10, 'set_overdraft_limit', { overdraft_limit }),
  call(3, 'open_account', {
    unit: fc.constantFrom(null, 'credit', 'usd'),
    overdraft_limit: fc.option(overdraft_limit, { freq: 1 }),
  }),
  call(6, 'settle_account', {}),
  call(8, 'deduct_credits_batch', {
    deductions: fc.array(command('deduct_credits', record(deduction)), { maxLength: 3 }),
    all_or_nothing: fc.boolean(),
  }),
  call(1, 'close_account', {}),
  call(1, 'forget_account', {}),
  call(14, 'again', { back }),
);
const settleDue = command('settle_due', record({ max_accounts: fc.constant(1000) }));

const step: fc.Arbitrary<Step> = record({
  wait: fc.oneof(
    { weight: 8, arbitrary: fc.constant(0) },
    { weight: 4, arbitrary: fc.constantFrom(1, 1, 2, 24, 400) },
    { weight: 2, arbitrary: fc.constant('due' as const) },
    { weight: 1, arbitrary: fc.constant('nearly due' as const) },
  ),
  commands: fc.oneof(
    { weight: 30, arbitrary: fc.tuple(anyCommand) },
    { weight: 5, arbitrary: fc.tuple(anyCommand, anyCommand) },
    { weight: 1, arbitrary: fc.tuple(settleDue) }, // alone: it leaves out whom somebody else locks
  ),
  client: fc.nat({ max: 2 }),
});

/**
 * Shortened by whole steps, which is fast and leaves readable steps. Reversed, because an array is
 * shortened from its beginning: so the steps after a failure go first.
 */
export const history = (maxLength: number) =>
  fc
    .array(fc.noShrink(step), { minLength: 1, maxLength, size: 'max' })
    .map((steps) => steps.toReversed());
