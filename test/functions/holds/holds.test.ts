import { expect, test } from 'vitest';
import { type Arguments, call } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

const db = useDatabase();

const on = (account: string, name: string, args: Arguments) =>
  call(db, name, { p_account_id: account, ...args });

test('a hold, an extension, a capture and a release answer with what they did, and what is left', async () => {
  await on('acme', 'grant_credits', { p_amount: 100, p_idempotency_key: 'grant' });
  const hold = { p_amount: 60, p_idempotency_key: 'hold 1', p_metadata: { run: 1 } };
  const { expires_at, ...held } = await on('acme', 'hold_credits', hold);
  expect(held).toEqual({
    hold_id: 1,
    amount: 60,
    balance: 100,
    available: 40,
    replayed: false,
    exceeded_limits: null,
  });
  const extended = await on('acme', 'extend_hold', { p_hold_id: 1, p_expires_in: '2 hours' });
  expect(extended).toEqual({
    hold_id: 1,
    amount: 60,
    balance: 100,
    available: 40,
    expires_at: expect.any(Date),
  });
  expect(extended.expires_at - expires_at).toBeGreaterThanOrEqual(3_600_000);
  const capture = { p_hold_id: 1, p_amount: 25, p_idempotency_key: 'part', p_final: false };
  expect(await on('acme', 'capture_hold', capture)).toEqual({
    hold_id: 1,
    transaction_id: 2,
    amount: 25,
    balance: 75,
    available: 40,
    replayed: false,
    held: 35,
    exceeded_limits: null,
    refunded: 0,
  });
  expect(await on('acme', 'release_hold', { p_hold_id: 1, p_idempotency_key: 'release' })).toEqual({
    hold_id: 1,
    amount: 35,
    balance: 75,
    available: 75,
    replayed: false,
  });
  expect(
    await db.one(
      `select hold_id, state, amount, held, captured, api_key_id, operation, run_id, expires_at,
         resolved_at is not null as resolved, metadata
       from credits.holds where account_id = 'acme'`,
    ),
  ).toEqual({
    hold_id: 1,
    state: 'released',
    amount: 60,
    held: 0,
    captured: 25,
    api_key_id: null,
    operation: null,
    run_id: null,
    expires_at: extended.expires_at,
    resolved: true,
    metadata: { run: 1 },
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('holds are numbered within their account, and last an hour unless they say otherwise', async () => {
  for (const account of ['numbered', 'other']) {
    await on(account, 'grant_credits', { p_amount: 9, p_idempotency_key: 'grant' });
    const ids: number[] = [];
    for (const args of [{}, { p_expires_in: '1 day' }, {}]) {
      const hold = { ...args, p_amount: 1, p_idempotency_key: `hold ${ids.length}` };
      ids.push((await on(account, 'hold_credits', hold)).hold_id);
    }
    expect(ids).toEqual([1, 2, 3]);
  }
  const rows = await db.query(
    `select extract(epoch from expires_at - created_at)::int as seconds from credits.holds
     where account_id = 'numbered' order by hold_id`,
  );
  expect(rows).toEqual([{ seconds: 3600 }, { seconds: 86400 }, { seconds: 3600 }]);
});

test('a run that holds 1,000 and captures 180, 220 and 37 has cost 437, once, on every surface', async () => {
  await on('run', 'grant_credits', { p_amount: 5000, p_idempotency_key: 'grant' });
  const run = { p_api_key_id: 'key a', p_operation: 'agent', p_run_id: 'run 7' };
  const hold = { p_amount: 1000, p_idempotency_key: 'hold', ...run };
  expect(await on('run', 'hold_credits', hold)).toMatchObject({ balance: 5000, available: 4000 });
  const capture = (amount: number, final: boolean) =>
    on('run', 'capture_hold', {
      p_hold_id: 1,
      p_amount: amount,
      p_idempotency_key: `step ${amount}`,
      p_final: final,
    });
  expect(await capture(180, false)).toMatchObject({ balance: 4820, available: 4000, held: 820 });
  expect(await capture(220, false)).toMatchObject({ balance: 4600, available: 4000, held: 600 });
  expect(await capture(37, true)).toMatchObject({ balance: 4563, available: 4563, held: 0 });
  for (const [amount, final] of [
    [180, false],
    [37, true],
  ] as const) {
    expect(await capture(amount, final)).toMatchObject({ replayed: true });
  }

  const rows = (columns: string, view: string) =>
    db.query(`select ${columns} from credits.${view} where account_id = 'run'`);
  expect(await rows('balance, held, available, credits_used, calls', 'remaining')).toEqual([
    { balance: 4563, held: 0, available: 4563, credits_used: 437, calls: 1 },
  ]);
  expect(
    await rows('opening_balance, credits_used, net_used, calls, closing_balance', 'invoice'),
  ).toEqual([
    { opening_balance: 0, credits_used: 437, net_used: 437, calls: 1, closing_balance: 4563 },
  ]);
  const line = { api_key_id: 'key a', operation: 'agent', credits_used: 437, net_used: 437 };
  for (const view of ['invoice_lines', 'usage']) {
    const columns = 'api_key_id, operation, credits_used, net_used, calls';
    expect(await rows(columns, view)).toEqual([{ ...line, calls: 1 }]);
  }
  const id = { hold_id: 1, api_key_id: 'key a', operation: 'agent', run_id: 'run 7' };
  const step = (amount: number, balance_after: number) => {
    const key = { idempotency_key: `step ${amount}` };
    return { kind: 'capture', amount: -amount, balance_after, ...key, ...id };
  };
  const transactions = await rows(
    'kind, amount, balance_after, idempotency_key, hold_id, api_key_id, operation, run_id',
    'transactions',
  );
  expect(transactions.slice(1)).toEqual([step(180, 4820), step(220, 4600), step(37, 4563)]);
  expect(
    await rows('state, amount, held, captured, api_key_id, operation, run_id, hold_id', 'holds'),
  ).toEqual([{ state: 'captured', amount: 1000, held: 0, captured: 437, ...id }]);
  expect(await rows('remaining, held', 'grants')).toEqual([{ remaining: 4563, held: 0 }]);
  expect(await discrepancies(db)).toEqual([]);
});

test('credits.holds shows an open hold as open, and what it still has', async () => {
  await on('open', 'grant_credits', { p_amount: 10, p_idempotency_key: 'grant' });
  await on('open', 'hold_credits', { p_amount: 6, p_idempotency_key: 'hold' });
  const capture = { p_hold_id: 1, p_amount: 2, p_idempotency_key: 'part', p_final: false };
  await on('open', 'capture_hold', capture);
  expect(
    await db.one(
      `select state, amount, held, captured, resolved_at from credits.holds
       where account_id = 'open'`,
    ),
  ).toEqual({ state: 'open', amount: 6, held: 4, captured: 2, resolved_at: null });
  expect(
    await db.one(
      `select balance, held, available from credits.remaining where account_id = 'open'`,
    ),
  ).toEqual({ balance: 8, held: 4, available: 4 });
});
