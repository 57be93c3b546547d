import { beforeAll, expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, race, raceFor, times } from './race.ts';

// What apps often write for work of unknown cost: a status that is read before it is locked. In
// the race that our functions pass, it charges one run once per worker that reports its end.
const db = useDatabase();

beforeAll(async () => {
  await db.query(`
    create schema naive;
    create table naive.accounts (account_id text primary key, balance bigint, held bigint);
    create table naive.holds (account_id text primary key, amount bigint, status text);
    insert into naive.accounts values ('acme', 1000, 100);
    insert into naive.holds values ('acme', 100, 'open');
    create function naive.capture(p_account_id text, p_amount bigint) returns void
    language plpgsql as $$
    begin
      if not exists (
        select from naive.holds where account_id = p_account_id and status = 'open')
      then
        raise exception 'hold already captured';
      end if;
      update naive.accounts set balance = balance - p_amount, held = held - 100
      where account_id = p_account_id;
      update naive.holds set status = 'captured' where account_id = p_account_id;
    end
    $$;
  `);
  const args = { p_account_id: 'acme', p_amount: 1000, p_idempotency_key: 'grant' };
  await call(db, 'grant_credits', args);
  await call(db, 'hold_credits', { ...args, p_amount: 100, p_idempotency_key: 'hold' });
});

test('ten workers that end one run charge it ten times in a naive ledger, and once in ours', async () => {
  const naive = await race(
    db,
    times(10, () => (client) => client.query(`select naive.capture('acme', 40)`)),
    (holder) => holder.query(`select from naive.accounts where account_id = 'acme' for update`),
  );
  const capture = { p_account_id: 'acme', p_hold_id: 1, p_amount: 40 };
  const ours = await raceFor(
    db,
    'acme',
    times(
      10,
      (i) => (client) =>
        call(client, 'capture_hold', { ...capture, p_idempotency_key: `worker ${i}` }),
    ),
  );
  expect([naive.answers.length, ours.answers.length]).toEqual([10, 1]);
  expect(
    await db.one(
      `select n.balance as naive, n.held as naive_held, r.balance, r.held
       from naive.accounts as n join credits.remaining as r using (account_id)`,
    ),
  ).toEqual({ naive: 600, naive_held: -900, balance: 960, held: 0 });
  await expectNoDiscrepancies(db);
});
