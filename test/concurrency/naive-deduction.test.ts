import { beforeAll, expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, race, times } from './race.ts';

// A test that has never been seen to fail proves nothing. So here is what hundreds of apps wrote: it
// looks before it locks. In the very races that our functions pass it overspends, charges twice and
// refunds twice.
const db = useDatabase();

beforeAll(async () => {
  await db.query(`
    create schema naive;
    create table naive.accounts (account_id text primary key, balance bigint);
    create table naive.entries (account_id text, key text, amount bigint);
    create function naive.move(p_account_id text, p_amount bigint, p_key text) returns bigint
    language plpgsql as $$
    declare
      v_balance bigint;
    begin
      if exists (select from naive.entries where account_id = p_account_id and key = p_key) then
        return null;
      end if;
      select balance into v_balance from naive.accounts where account_id = p_account_id;
      if v_balance + p_amount < 0 then
        raise exception 'insufficient credits';
      end if;
      insert into naive.entries values (p_account_id, p_key, p_amount);
      update naive.accounts set balance = balance + p_amount where account_id = p_account_id;
      return v_balance + p_amount;
    end
    $$;
    create function naive.refund(p_account_id text, p_amount bigint, p_key text) returns bigint
    language plpgsql as $$
    begin
      if 80 < p_amount + (
        select coalesce(sum(amount), 0) from naive.entries
        where account_id = p_account_id and amount > 0)
      then
        raise exception 'refund of more than is left';
      end if;
      return naive.move(p_account_id, p_amount, p_key);
    end
    $$;
  `);
});

/** The same race twice: for the naive function and for ours; the number of calls that succeeded. */
async function inBoth(
  account: string,
  count: number,
  naive: (i: number) => [name: string, amount: number, key: string],
  ours: (i: number) => [name: string, args: Record<string, unknown>],
) {
  const naiveOutcome = await race(
    db,
    times(count, (i) => (client) => {
      const [name, amount, key] = naive(i);
      return client.query(`select naive.${name}($1, $2, $3)`, [account, amount, key]);
    }),
    (holder) =>
      holder.query('select from naive.accounts where account_id = $1 for update', [account]),
  );
  const ourOutcome = await race(
    db,
    times(count, (i) => (client) => {
      const [name, args] = ours(i);
      return call(client, name, { p_account_id: account, ...args });
    }),
    (holder) =>
      holder.query('select from credits_private.accounts where account_id = $1 for update', [
        account,
      ]),
  );
  return { naive: naiveOutcome.answers.length, ours: ourOutcome.answers.length };
}

async function open(account: string, balance: number): Promise<void> {
  await db.query('insert into naive.accounts values ($1, $2)', [account, balance]);
  await call(db, 'grant_credits', {
    p_account_id: account,
    p_amount: balance,
    p_idempotency_key: 'grant',
  });
}

const balances = (account: string) =>
  db.one(
    `select n.balance as naive, r.balance as ours
     from naive.accounts n join credits.remaining r using (account_id) where account_id = $1`,
    [account],
  );

test('forty deductions on a balance for twenty-five overspend a naive ledger, and not ours', async () => {
  await open('overspent', 250);
  const succeeded = await inBoth(
    'overspent',
    40,
    (i) => ['move', -10, `${i}`],
    (i) => ['deduct_credits', { p_amount: 10, p_idempotency_key: `${i}` }],
  );
  expect(succeeded).toEqual({ naive: 40, ours: 25 });
  expect(await balances('overspent')).toEqual({ naive: -150, ours: 0 });
  await expectNoDiscrepancies(db);
});

test('one key from twenty connections charges twenty times in a naive ledger, and once in ours', async () => {
  await open('charged twice', 1000);
  await inBoth(
    'charged twice',
    20,
    () => ['move', -10, 'shared'],
    () => ['deduct_credits', { p_amount: 10, p_idempotency_key: 'shared' }],
  );
  expect(await balances('charged twice')).toEqual({ naive: 800, ours: 990 });
  await expectNoDiscrepancies(db);
});

test('refunds at once give back more than was taken in a naive ledger, and not in ours', async () => {
  await open('refunded twice', 100);
  await db.query(`select naive.move('refunded twice', -80, 'deduct')`);
  const { transaction_id } = await call(db, 'deduct_credits', {
    p_account_id: 'refunded twice',
    p_amount: 80,
    p_idempotency_key: 'deduct',
  });
  const succeeded = await inBoth(
    'refunded twice',
    20,
    (i) => ['refund', 8, `${i}`],
    (i) => [
      'refund_credits',
      { p_transaction_id: transaction_id, p_amount: 8, p_idempotency_key: `${i}` },
    ],
  );
  expect(succeeded).toEqual({ naive: 20, ours: 10 });
  expect(await balances('refunded twice')).toEqual({ naive: 180, ours: 100 });
  await expectNoDiscrepancies(db);
});
