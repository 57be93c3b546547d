import { beforeEach, expect, test } from 'vitest';
import { type Arguments, call, callAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';

const db = useDatabase();

let account: string;
beforeEach(() => {
  account = unique('account');
});

const grantAt = (at: string, amount: number, expires: string | null, args: Arguments = {}) =>
  callAt(db, 'grant_credits', at, {
    p_account_id: account,
    p_amount: amount,
    p_idempotency_key: unique(),
    p_expires_at: expires,
    ...args,
  });
const settleAt = (at: string) => callAt(db, 'settle_account', at, { p_account_id: account });
const settleDueAt = async (at: string, most = 100) =>
  (await callAt(db, 'settle_due', at, { p_max_accounts: most })).settle_due_at;
const expiries = async () =>
  (
    await db.query(
      `select amount, to_char(effective_at at time zone 'UTC', 'MM-DD') as day,
         transaction_id = entry_id as alone, balance_after
       from credits.entries where account_id = $1 and kind = 'expiry' order by entry_id`,
      [account],
    )
  ).map((row) => [row.amount, row.day, row.balance_after, row.alone]);

test('settle_account books what has expired, each as a transaction of its own, by its moment', async () => {
  await grantAt('2024-01-01Z', 1, '2024-01-20Z');
  await grantAt('2024-01-01Z', 2, '2024-01-10Z');
  await grantAt('2024-01-01Z', 4, '2024-01-10Z');
  await grantAt('2024-01-01Z', 8, '2024-01-30Z', { p_operations: ['search'] });
  await grantAt('2024-01-01Z', 16, null);
  expect(await settleAt('2024-01-20Z')).toEqual({
    account_id: account,
    balance: 24,
    available: 16,
  });
  expect(await expiries()).toEqual([
    [-2, '01-10', 29, true],
    [-4, '01-10', 25, true],
    [-1, '01-20', 24, true],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('settling an account again books nothing', async () => {
  await grantAt('2024-01-01Z', 1, '2024-01-20Z');
  await settleAt('2024-01-25Z');
  const before = await everything(db);
  await settleAt('2024-01-25Z');
  await settleAt('2024-01-31 23:59Z');
  expect(await everything(db)).toBe(before);
});

test('a microsecond before its expiry a grant can be spent, at that moment it has gone', async () => {
  const deduct = (at: string) =>
    callAt(db, 'deduct_credits', at, {
      p_account_id: account,
      p_amount: 1,
      p_idempotency_key: unique(),
    });
  await grantAt('2024-01-01Z', 2, '2024-01-10Z');
  expect(await deduct('2024-01-09 23:59:59.999999Z')).toMatchObject({ available: 1 });
  expect(await raised(deduct('2024-01-10Z'))).toMatchObject({
    code: 'PT402',
    detail: { available: 0 },
  });
  expect(await expiries()).toEqual([]); // a call that fails keeps nothing, not even this
  await settleAt('2024-01-10Z');
  expect(await expiries()).toEqual([[-1, '01-10', 0, true]]);
});

test('what is expired and not yet settled is neither available nor remaining', async () => {
  await grantAt('2024-01-01Z', 10, '2024-02-01Z');
  await grantAt('2024-01-01Z', 20, '2024-02-01Z', { p_operations: ['search'] });
  await grantAt('2024-01-01Z', 40, null);
  const remaining = () =>
    db.one(
      `select balance, available, scoped, next_expiry_at, period_start <= now()::date as started,
         period_end > (now() - interval '1 day')::date as not_over
       from credits.remaining where account_id = $1`,
      [account],
    );
  const figures = { available: 40, scoped: 0, next_expiry_at: null, started: true, not_over: true };
  expect(await remaining()).toEqual({ ...figures, balance: 70 });
  const search = { p_account_id: account, p_operation: 'search' };
  expect(await call(db, 'available_for', search)).toEqual({ available_for: 40 });
  const states = await db.query(
    'select state from credits.grants where account_id = $1 order by grant_id',
    [account],
  );
  expect(states.map((row) => row.state)).toEqual(['expired', 'expired', 'active']);
  await call(db, 'settle_account', { p_account_id: account });
  expect(await remaining()).toEqual({ ...figures, balance: 40 });
});

test('settling a new period writes no entry', async () => {
  await grantAt('2024-01-01Z', 10, null);
  await settleAt('2024-01-31 23:59:59.999999Z');
  const period = async () =>
    (await db.one('select period from credits_private.accounts where account_id = $1', [account]))
      .period;
  expect(await period()).toBe('2024-01-01');
  expect(await settleAt('2024-02-01Z')).toMatchObject({ balance: 10 });
  expect(await period()).toBe('2024-02-01');
  const { count } = await db.one('select count(*) from credits.entries where account_id = $1', [
    account,
  ]);
  expect(count).toBe(1);
});

test('settle_due settles who is due, the longest due first, no more than it is told, and counts', async () => {
  await callAt(db, 'settle_due', '2024-06-01Z', { p_max_accounts: 1000 });
  const accounts = ['third', 'first', 'second', 'not due'].map((name) => unique(name));
  const days = ['2024-06-20Z', '2024-06-10Z', '2024-06-15Z', '2024-06-25Z'];
  for (const [i, name] of accounts.entries()) {
    account = name;
    await grantAt('2024-06-02Z', 1, days[i] ?? '');
  }
  const settled = async () =>
    (
      await db.query(
        `select account_id from credits.entries where kind = 'expiry' and account_id = any ($1)
         order by effective_at`,
        [accounts],
      )
    ).map((row) => row.account_id);
  expect(await settleDueAt('2024-06-09Z')).toBe(0);
  expect(await settleDueAt('2024-06-20Z', 1)).toBe(1);
  expect(await settled()).toEqual([accounts[1]]);
  expect(await settleDueAt('2024-06-20Z', 100)).toBe(2);
  expect(await settled()).toEqual([accounts[1], accounts[2], accounts[0]]);
  expect(await settleDueAt('2024-06-20Z', 100)).toBe(0);
  expect(await discrepancies(db)).toEqual([]);
});

test('settle_due begins no other account once it has worked for two seconds, so none starves the others', async () => {
  const accounts = ['large', 'small', 'another'].map((name) => unique(name));
  for (const name of accounts) {
    account = name;
    await grantAt('2024-07-02Z', 1, name === accounts[0] ? '2024-07-10Z' : '2024-07-11Z');
  }
  await settleDueAt('2024-07-09Z', 1000);
  const client = await db.connect();
  const settleAll = async () =>
    (await client.query(`select credits_private.settle_due_at(100, '2024-07-20Z') as n`)).rows[0].n;
  await client.query(`begin;
    create or replace function credits_private.settle(
      p_account credits_private.account, p_at timestamptz
    ) returns credits_private.account language plpgsql as $$ begin
      if p_account.account_id = '${accounts[0]}' then perform pg_sleep(2); end if;
      return credits_private.advance_account(p_account, p_at);
    end $$`);
  expect([await settleAll(), await settleAll(), await settleAll()]).toEqual([1, 2, 0]);
  await client.query('rollback');
  expect(await settleAll()).toBe(3);
});

test('four hundred grants that expire are booked together, in order', async () => {
  await db.query(
    `select credits_private.grant_credits_at($1, 1, 'grant ' || i, 'plan', 100,
       timestamptz '2024-01-02Z' + i * interval '1 minute', null, null, null, null, '{}',
       '2024-01-01Z')
     from generate_series(1, 400) i`,
    [account],
  );
  expect(await settleAt('2024-01-31Z')).toMatchObject({ balance: 0 });
  const { expiries, in_order } = await db.one(
    `select count(*) as expiries, bool_and(grant_id = entry_id - 400) as in_order
     from credits.entries where account_id = $1 and kind = 'expiry'`,
    [account],
  );
  expect({ expiries, in_order }).toEqual({ expiries: 400, in_order: true });
  expect(await discrepancies(db)).toEqual([]);
});

test('an account whose time zone is gone is left out, with a warning, and keeps no other from being settled', async () => {
  const others = ['one', 'another'].map((name) => unique(name));
  const gone = unique('gone');
  for (const [i, id] of [gone, ...others].entries())
    await callAt(db, 'open_account', `2023-01-0${i + 1}Z`, { p_account_id: id });
  await db.query(
    `update credits_private.accounts set time_zone = 'US/Gone' where account_id = $1`,
    [gone],
  );
  const client = await db.connect();
  const warnings: string[] = [];
  const hints: string[] = [];
  client.on('notice', ({ message = '', hint = '' }) => {
    warnings.push(message);
    hints.push(hint);
  });
  const due = async () => {
    const { rows } = await client.query(
      `select account_id from credits_private.accounts
       where account_id = any ($1) and due_at <= '2023-03-01Z' order by 1`,
      [[gone, ...others]],
    );
    return rows.map(({ account_id }) => account_id);
  };
  expect(await due()).toHaveLength(3);
  const { rows } = await client.query(
    `select credits_private.settle_due_at(3, '2023-03-01Z') as settled`,
  );
  expect(rows).toEqual([{ settled: 2 }]);
  expect(warnings).toEqual([`account ${gone} was not settled: time zone "US/Gone" not recognized`]);
  expect(await due()).toEqual([gone]);
  // The hint can be run as it is, by the owner.
  const [repair] = /update .*;$/.exec(hints[0] ?? '') ?? [];
  await db.query(repair ?? 'no hint');
  // The account gets its turn again after a pause, and is repaired by then.
  expect(await settleDueAt('2023-03-01 00:00:59Z', 1)).toBe(0);
  expect(await settleDueAt('2023-03-01 00:01Z', 1)).toBe(1);
  expect(await discrepancies(db, gone)).toEqual([]);
});
