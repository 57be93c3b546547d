import { beforeAll, expect, test } from 'vitest';
import { batchAt, callAt, deductAt, grantAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { HOUR, us } from '../../support/time.ts';

const db = useDatabase();
const many = 3000;
const start = us('2024-01-15T00:00:00Z');

// Thousands of entries at one moment, then some of one moment each, into the third period.
beforeAll(async () => {
  await grantAt(db, 'busy', start, { key: 'grant', amount: 100_000 });
  await db.query('analyze');
  const deductions = Array.from({ length: many }, (_, i) => ({
    account_id: 'busy',
    amount: 1,
    idempotency_key: `of a batch ${i}`,
  }));
  await batchAt(db, start + HOUR, deductions);
  for (let i = 2; i < 12; i++)
    await deductAt(db, 'busy', start + i * 120 * HOUR, { key: `call ${i}`, amount: 1 });
  await callAt(db, 'open_account', start, { p_account_id: 'idle' });
});

test('the first entry at or after any moment is the one that a scan finds', async () => {
  const wrong = await db.query(
    `select m.at, f.found, s.first_id
     from (
       select effective_at + by as at
       from (select distinct effective_at from credits.entries) as e,
         (values (interval '0'), ('-1 us'), ('1 us'), ('-2 years'), ('2 years')) as b (by)
       union values ('-infinity'::timestamptz), ('infinity')
     ) as m
     cross join lateral (
       select coalesce(min(entry_id), ${many + 12}) as first_id
       from credits.entries where effective_at >= m.at
     ) as s
     cross join credits_private.first_entry_at('busy', m.at) as f (found)
     where f.found <> s.first_id`,
  );
  expect(wrong).toEqual([]);
});

test('the first entry of any period is the one that a scan finds', async () => {
  const wrong = await db.query(
    `select p.period, f.found, s.first_id
     from (
       select generate_series('2023-12-01', '2024-05-01', interval '1 month')::date as period
     ) as p
     cross join lateral (
       select coalesce(min(entry_id), ${many + 12}) as first_id
       from credits.entries where period >= p.period
     ) as s
     cross join credits_private.first_entry_of_period('busy', p.period) as f (found)
     where f.found <> s.first_id`,
  );
  expect(wrong).toEqual([]);
});

test('an account without entries has its first one yet to come', async () => {
  const row = await db.one(
    `select credits_private.first_entry_at('idle', now()) as at,
       credits_private.first_entry_of_period('idle', '2024-01-01') as period`,
  );
  expect(row).toEqual({ at: 1, period: 1 });
});

test.each([`first_entry_at('busy', '2024-02-01Z')`, `first_entry_of_period('busy', '2024-02-01')`])(
  '%s probes the ledger instead of reading it',
  async (call) => {
    const client = await db.connect();
    await client.query(`begin; select credits_private.${call}`);
    const { rows } = await client.query(
      `select seq_scan::int as scans, idx_tup_fetch::int as fetched
     from pg_stat_xact_user_tables where relid = 'credits_private.entries'::regclass`,
    );
    await client.query('commit');
    expect(rows[0].scans).toBe(0);
    expect(rows[0].fetched).toBeLessThan(20);
  },
);
