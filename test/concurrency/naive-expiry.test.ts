import { beforeAll, expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { race, times } from './race.ts';

// The counterpart of expiry.test.ts: a deduction that locks, as it should, and then calls now(),
// which is the start of the transaction and not the end of its wait. It spends expired credit.
const db = useDatabase();

beforeAll(async () => {
  await db.query(`
    create schema naive;
    create table naive.grants (remaining bigint, expires_at timestamptz);
    create function naive.deduct(p_amount bigint, p_clock text) returns bigint
    language plpgsql as $$
    declare
      v_grant naive.grants;
      v_at timestamptz := now();
    begin
      select * into v_grant from naive.grants for update;
      if p_clock = 'clock_timestamp' then
        v_at := clock_timestamp();
      end if;
      if v_grant.expires_at <= v_at or v_grant.remaining < p_amount then
        raise exception 'insufficient credits';
      end if;
      update naive.grants set remaining = remaining - p_amount;
      return v_grant.remaining - p_amount;
    end
    $$;
  `);
});

const deductions = async (clock: 'now' | 'clock_timestamp') => {
  await db.query(
    `with gone as (delete from naive.grants)
     insert into naive.grants values (100, clock_timestamp() + interval '2 seconds')`,
  );
  const { answers } = await race(
    db,
    times(10, () => (client) => client.query('select naive.deduct(10, $1)', [clock])),
    (holder) => holder.query('select from naive.grants for update'),
    async (holder) => {
      const expired = 'select clock_timestamp() >= expires_at as expired from naive.grants';
      while (!(await holder.query(expired)).rows[0].expired) {
        await holder.query('select pg_sleep_until(expires_at) from naive.grants');
      }
      await holder.query('commit');
    },
  );
  return answers.length;
};

test('callers who wait while the credits expire get them where the clock is now()', async () => {
  expect(await deductions('now')).toBe(10);
});

test('callers who wait while the credits expire do not get them where the clock is read after the wait', async () => {
  expect(await deductions('clock_timestamp')).toBe(0);
});
