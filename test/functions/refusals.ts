import {
  type Arguments,
  callAt,
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  limitAt,
  refundAt,
  releaseAt,
  revokeAt,
  settleAt,
} from '../support/calls.ts';
import type { Database } from '../support/database.ts';
import { DAY, us } from '../support/time.ts';

// A situation in which every function can be refused for every reason, and these reasons.

const start = us('2024-01-10T00:00:00Z') + 123_456;
const years = { expiresIn: '10 years' };

/**
 * Of 66 credits, hold 6 has reserved 10, and hold 7 has reserved 12 for a run that may spend 25.
 * Holds 1 to 5 have ended: captured, released by a capture of 0, released, captured in parts, and
 * expired, which nobody has settled.
 */
async function furnish(db: Database, account: string): Promise<void> {
  const at = (seconds: number) => start + seconds * 1_000_000;
  const before = start - DAY;
  await grantAt(db, account, before, { key: 'grant', amount: 102 });
  await deductAt(db, account, before, { key: 'deduct', amount: 30 });
  await grantAt(db, account, before, { key: 'brief', amount: 5, expires: before + 1 });
  await settleAt(db, account, before + 1);
  await refundAt(db, account, start, { key: 'refund', transaction: 2, amount: 10 });
  await revokeAt(db, account, start, { key: 'revoke', grant: 2 });
  await limitAt(db, account, start, {
    ...{ id: 'runs', ceiling: 20, overage: 5, window: 'total' },
    ...{ scope: 'run', scopeId: 'run' },
  });
  for (const n of [1, 2, 3, 4, 5]) {
    await holdAt(db, account, start, { key: `hold ${n}`, amount: 10 });
  }
  const searching = { key: 'hold 6', amount: 10, operation: 'search', ...years };
  await holdAt(db, account, start, searching);
  await holdAt(db, account, start, { key: 'hold 7', amount: 12, run: 'run', ...years });
  await captureAt(db, account, at(1), { key: 'capture', hold: 1, amount: 4 });
  await captureAt(db, account, at(2), { key: 'capture 2', hold: 2, amount: 0 });
  await releaseAt(db, account, at(3), { key: 'release', hold: 3 });
  await captureAt(db, account, at(4), { key: 'part', hold: 4, amount: 10, final: false });
  await captureAt(db, account, at(5), { key: 'capture 4', hold: 4, amount: 2 });
}

/** Makes each account twice, because an error's words must not depend on the account. */
export async function createSituation(db: Database): Promise<void> {
  const at = (account: string, name: string, args: Arguments = {}) =>
    callAt(db, name, start, { p_account_id: account, ...args });
  for (const each of ['acme', 'other']) {
    await furnish(db, each);
    await grantAt(db, `closed ${each}`, start, { key: 'grant', amount: 100 });
    await holdAt(db, `closed ${each}`, start, { key: 'hold', amount: 10, ...years });
    await limitAt(db, `closed ${each}`, start, { id: 'runs', ceiling: 500 });
    await at(`closed ${each}`, 'close_account');
    await at(`limited ${each}`, 'open_account');
    await limitAt(db, `limited ${each}`, start, { id: 'limit', ceiling: 5 });
    await at(`scheduled ${each}`, 'open_account');
    const later = { key: 'later', amount: 5, effective: us('2999-01-01T00:00:00Z') };
    await grantAt(db, `scheduled ${each}`, start, later);
  }
  await fillUp(db);
  // An account with what the others lack: a third grant, hold 8, transactions 9 and 12.
  for (const n of [1, 2, 3]) await grantAt(db, 'rich', start, { key: `grant ${n}`, amount: 100 });
  for (let n = 1; n < 20; n += 1) {
    await deductAt(db, 'rich', start, { key: `deduct ${n}`, amount: 1 });
    await holdAt(db, 'rich', start, { key: `hold ${n}`, amount: 1, ...years });
  }
}

/** Accounts on which no hold and no grant has room. Twenty are as many here as elsewhere 10,000. */
async function fillUp(db: Database): Promise<void> {
  await db.query(`create or replace function credits_private.most_at_once() returns bigint
    language sql immutable set search_path = pg_temp as 'select 20'`);
  for (const account of ['full acme', 'full other'])
    for (let n = 0; n < 20; n += 1) {
      await grantAt(db, account, start, { key: `grant ${n}`, amount: 5 });
      await holdAt(db, account, start, { key: `hold ${n}`, amount: 1, ...years });
    }
}

export interface Refusal {
  name: string;
  code: string;
  /** The reason, as a clause: 'more is asked for than is available'. */
  when: string;
  args: Arguments;
  /** The beginning of the account's name, where it is not the usual account. */
  account?: string;
  constraint?: string;
  /** Without account_id and invariant. */
  detail: object;
}

const key = { p_idempotency_key: 'new' };
const run = { p_run_id: 'run' };
const ofRuns = { limit_id: 'runs', scope: 'run', scope_id: 'run', window: 'total' };
const passed = (left: object) => ({ ...ofRuns, ceiling: 20, overage: 5, spent: 0, ...left });

const shortages: Refusal[] = [
  {
    name: 'deduct_credits',
    when: 'more is asked for than is available',
    args: { ...key, p_amount: 45, p_operation: 'search' },
    detail: { requested: 45, available: 44, operation: 'search' },
  },
  {
    name: 'hold_credits',
    when: 'more is asked for than is available',
    args: { ...key, p_amount: 45 },
    detail: { requested: 45, available: 44 },
  },
  {
    name: 'capture_hold',
    when: 'more is asked for than is held and available',
    args: { ...key, p_hold_id: 6, p_amount: 55 },
    detail: { requested: 55, available: 54, operation: 'search', hold_id: 6 },
  },
  {
    name: 'capture_hold',
    when: 'a closed account would pay more than it holds',
    args: { ...key, p_hold_id: 1, p_amount: 11 },
    account: 'closed ',
    detail: { requested: 11, available: 10, hold_id: 1 },
  },
].map((each) => ({ ...each, code: 'PT402', constraint: 'available_is_never_negative' }));

const limits: Refusal[] = [
  {
    name: 'deduct_credits',
    when: 'a limit would be passed',
    args: { ...key, ...run, p_amount: 14 },
    detail: passed({ reserved: 12, remaining: 13, requested: 14 }),
  },
  {
    name: 'hold_credits',
    when: 'a limit would be passed',
    args: { ...key, ...run, p_amount: 14 },
    detail: passed({ reserved: 12, remaining: 13, requested: 14 }),
  },
  {
    name: 'capture_hold',
    when: 'a limit would be passed',
    args: { ...key, p_hold_id: 7, p_amount: 26 },
    detail: passed({ reserved: 0, remaining: 25, requested: 26 }),
  },
].map((each) => ({ ...each, code: 'PT429', constraint: 'limits_are_never_passed' }));

const bounds: Refusal[] = [
  { name: 'hold_credits', what: 'open holds', args: { ...key, p_amount: 1 } },
  { name: 'grant_credits', what: 'live grants', args: { ...key, p_amount: 1 } },
].map(({ what, ...each }) => ({
  ...each,
  ...{ code: 'PT429', constraint: 'an_account_stays_bounded', account: 'full ' },
  when: `the account has as many ${what} as it may have`,
  detail: { what, most: 20 },
}));

const holdsThatEnded: [hold: number, state: string, since: string][] = [
  [1, 'captured', '2024-01-10T00:00:01.123456Z'],
  [2, 'released', '2024-01-10T00:00:02.123456Z'],
  [3, 'released', '2024-01-10T00:00:03.123456Z'],
  [4, 'captured', '2024-01-10T00:00:05.123456Z'],
  [5, 'expired', '2024-01-10T01:00:00.123456Z'],
];
const ofHold = (hold: number): [string, Arguments][] => [
  ['capture_hold', { ...key, p_hold_id: hold, p_amount: 1 }],
  ['release_hold', { ...key, p_hold_id: hold }],
  ['extend_hold', { p_hold_id: hold, p_expires_in: '10 years' }],
];
const holds: Refusal[] = holdsThatEnded.flatMap(([hold, state, resolved_at]) =>
  ofHold(hold).map(([name, args]) => ({
    ...{ name, args, code: 'PT410', constraint: 'a_hold_is_resolved_once' },
    when: `hold ${hold} is ${state}, with the moment at which it was`,
    detail: { hold_id: hold, state, resolved_at },
  })),
);

const missingFrom = (thing: string, id: number): string =>
  id === 99 ? `there is no ${thing} 99` : `only another account has a ${thing} ${id}`;
const missing: Refusal[] = [
  ...[9, 12, 99].map((transaction_id) => ({
    name: 'refund_credits',
    when: missingFrom('transaction', transaction_id),
    args: { ...key, p_transaction_id: transaction_id },
    detail: { transaction_id },
  })),
  ...[8, 99].flatMap((hold_id) =>
    ofHold(hold_id).map(([name, args]) => ({
      ...{ name, args, detail: { hold_id } },
      when: missingFrom('hold', hold_id),
    })),
  ),
  ...[3, 99].map((grant_id) => ({
    name: 'revoke_grant',
    when: missingFrom('grant', grant_id),
    args: { ...key, p_grant_id: grant_id },
    detail: { grant_id },
  })),
].map((each) => ({ ...each, code: 'PT404' }));

const refunds: Refusal[] = [
  ...Object.entries({ grant: 1, expiry: 4, refund: 5 }).map(([kind, transaction_id]) => ({
    when: `transaction ${transaction_id} is of kind ${kind}`,
    args: { ...key, p_transaction_id: transaction_id, p_amount: 1 },
    detail: { transaction_id, kind, requested: 1, refundable: 0 },
  })),
  {
    when: 'more is asked for than is left of the deduction',
    args: { ...key, p_transaction_id: 2, p_amount: 21 },
    detail: { transaction_id: 2, requested: 21, refundable: 20 },
  },
].map((each) => ({
  ...{ name: 'refund_credits', code: 'PT409', constraint: 'refunds_never_exceed_the_original' },
  ...each,
}));

const units: Refusal[] = (
  [
    { when: 'the unit would change after the first entry', args: { p_unit: 'usd' } },
    { when: 'the scale would change after the first entry', args: { p_scale: 2 } },
    {
      when: 'the unit would change along with what may',
      args: { p_unit: 'usd', p_anchor_day: 3, p_metadata: { lost: true } },
    },
    ...Object.entries({ limit: 'limited ', 'scheduled grant': 'scheduled ' }).flatMap(
      ([first, account]) => [
        {
          when: `the unit would change after the first ${first}`,
          account,
          args: { p_unit: 'usd' },
        },
        { when: `the scale would change after the first ${first}`, account, args: { p_scale: 2 } },
      ],
    ),
  ] as Pick<Refusal, 'when' | 'args' | 'account'>[]
).map((each) => ({
  ...{ name: 'open_account', code: 'PT409', ...each },
  detail: { unit: 'credit', scale: 0, entries: each.account ? 0 : 8 },
}));

/** The calls that have used a key, and the arguments in which a sound call differs from them. */
const used: [name: string, key: string, transaction: number | undefined, differs: string[]][] = [
  ['grant_credits', 'grant', 1, ['amount']],
  ['deduct_credits', 'deduct', 2, ['amount']],
  ['refund_credits', 'refund', 5, ['amount']],
  ['revoke_grant', 'revoke', undefined, ['grant_id']],
  ['hold_credits', 'hold 6', undefined, ['amount', 'expires_in', 'operation']],
  ['capture_hold', 'capture', 6, ['amount', 'hold_id']],
  ['release_hold', 'release', undefined, ['hold_id']],
];

/** The refusals of a function with a key for every key that has been used. */
export const reuses = (name: string, valid: Arguments): Refusal[] =>
  used.map(([first, idempotency_key, transaction_id, differs]) => ({
    ...{ name, code: 'PT409', constraint: 'a_request_takes_effect_once' },
    when: name === first ? 'its key had other arguments' : `${first} has used its key`,
    args: { ...valid, p_idempotency_key: idempotency_key },
    detail: {
      ...{ idempotency_key, function: first },
      ...(transaction_id === undefined ? {} : { transaction_id }),
      ...(name === first ? { differs } : {}),
    },
  }));

export const noSuchAccount = (name: string, valid: Arguments): Refusal => ({
  ...{ name, code: 'PT404', args: valid, account: 'not ', detail: {} },
  when: 'nobody has opened the account',
});

export const accountIsClosed = (name: string, valid: Arguments): Refusal => ({
  ...{ name, code: 'PT423', args: valid, account: 'closed ' },
  when: 'the account is closed',
  detail: { closed_at: '2024-01-10T00:00:00.123456Z' },
});

export const refusals = [
  ...shortages,
  ...limits,
  ...bounds,
  ...holds,
  ...missing,
  ...refunds,
  ...units,
];
