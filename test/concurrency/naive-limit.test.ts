import { beforeAll, expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { counters } from '../support/limits.ts';
import { expectNoDiscrepancies, race, raceFor, times } from './race.ts';

// This naive counter is locked before it is read: safe until the first calls of a run come at once.
// Then there is no row yet, nobody waits, and each call believes that nothing has been spent.
const db = useDatabase();

beforeAll(async () => {
  await db.query(`
    create schema naive;
    create table naive.counters (run_id text primary key, spent bigint);
    create function naive.spend(p_run_id text, p_amount bigint, p_ceiling bigint) returns bigint
    language plpgsql as $$
    declare
      v_spent bigint;
    begin
      select spent into v_spent from naive.counters where run_id = p_run_id for update;
      if coalesce(v_spent, 0) + p_amount > p_ceiling then
        raise exception 'limit reached';
      end if;
      insert into naive.counters as c values (p_run_id, p_amount)
      on conflict (run_id) do update set spent = c.spent + excluded.spent
      returning spent into v_spent;
      return v_spent;
    end
    $$;
  `);
});

test('twenty first calls of a run pass a naive limit, and not ours', async () => {
  const naive = await race(
    db,
    times(20, () => (client) => client.query(`select naive.spend('run', 10, 75)`)),
    (holder) => holder.query('lock table naive.counters in share mode'),
  );
  expect(naive.errors).toEqual([]);
  expect(await db.query('select * from naive.counters')).toEqual([{ run_id: 'run', spent: 200 }]);

  const account = { p_account_id: 'acme' };
  await call(db, 'grant_credits', { ...account, p_amount: 1000, p_idempotency_key: 'grant' });
  const limit = { p_limit_id: 'run', p_ceiling: 75, p_scope: 'run', p_window: 'total' };
  await call(db, 'set_limit', { ...account, ...limit });
  const ours = await raceFor(
    db,
    'acme',
    times(
      20,
      (i) => (client) =>
        call(client, 'deduct_credits', {
          ...account,
          p_amount: 10,
          p_idempotency_key: `${i}`,
          p_run_id: 'run',
        }),
    ),
  );
  expect([ours.answers.length, ours.errors.length]).toEqual([7, 13]);
  expect(await counters(db, 'acme')).toEqual([['run', '-infinity', 'run', 70]]);
  await expectNoDiscrepancies(db);
});
