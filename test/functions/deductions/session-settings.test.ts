import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { call, callAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

// What a role or a connection pool may have set, and what somebody put into a schema before ours.
const db = useDatabase();

let odd: pg.Client;
beforeAll(async () => {
  await db.query(`
    create schema hostile;
    create table hostile.accounts (account_id text);
    create function hostile.clock_timestamp() returns timestamptz
      language sql as $$ select timestamptz '1970-01-01Z' $$;
    create function hostile.octet_length(text) returns int language sql as $$ select 7 $$;
    create function hostile.minus(bigint, bigint) returns bigint
      language sql as $$ select $1 operator(pg_catalog.+) $2 $$;
    create operator hostile.- (leftarg = bigint, rightarg = bigint, function = hostile.minus);
  `);
  odd = await db.connect();
  await odd.query(`
    set timezone = 'Pacific/Kiritimati';
    set datestyle = 'SQL, DMY';
    set intervalstyle = 'sql_standard';
    set search_path = hostile, pg_catalog;
    set extra_float_digits = -15;
    set bytea_output = 'escape';
    set transform_null_equals = on;
    set quote_all_identifiers = on;
  `);
});

const grant = {
  p_account_id: 'acme',
  p_amount: 100,
  p_idempotency_key: 'grant',
  p_expires_at: '2999-07-01 00:00:00.000001Z',
  p_effective_at: '2024-07-01 00:00:00.000001Z',
  p_operations: ['search', 'Embed'],
};
const deduct = {
  p_account_id: 'acme',
  p_amount: 40,
  p_idempotency_key: 'deduct',
  p_operation: 'search',
  p_metadata: { at: 1 },
};

test('a replay is recognised from a session with other settings, both ways', async () => {
  const granted = await call(db, 'grant_credits', grant);
  expect(await call(odd, 'grant_credits', grant)).toMatchObject({
    grant_id: granted.grant_id,
    replayed: true,
  });
  expect(await call(odd, 'deduct_credits', deduct)).toMatchObject({ balance: 60, replayed: false });
  expect(await call(db, 'deduct_credits', deduct)).toMatchObject({ balance: 60, replayed: true });
});

test('functions behave as ever in a session with odd settings', async () => {
  const more = { p_account_id: 'odd', p_amount: 10, p_idempotency_key: 'grant' };
  await call(odd, 'open_account', { p_account_id: 'odd', p_time_zone: 'Europe/Berlin' });
  expect(await call(odd, 'grant_credits', more)).toMatchObject({ balance: 10, available: 10 });
  const args = { p_account_id: 'odd', p_amount: 4, p_idempotency_key: 'deduct' };
  const { transaction_id } = await call(odd, 'deduct_credits', args);
  const refund = { p_account_id: 'odd', p_transaction_id: transaction_id };
  expect(
    await call(odd, 'refund_credits', { ...refund, p_idempotency_key: 'refund' }),
  ).toMatchObject({ amount: 4, balance: 10 });
  expect(
    await db.one(`select created_at > now() - interval '1 day' as now from credits.entries
      where account_id = 'odd' and entry_id = 1`),
  ).toEqual({ now: true });
  expect(await discrepancies(db)).toEqual([]);
  expect(await discrepancies(odd)).toEqual([]);
});

test('a period does not depend on the zone of the session', async () => {
  // Still January in UTC, February already on Kiritimati.
  for (const [i, client] of [odd, await db.connect()].entries()) {
    const account = `period ${i}`;
    await callAt(client, 'grant_credits', '2024-01-31 23:00Z', {
      p_account_id: account,
      p_amount: 1,
      p_idempotency_key: 'grant',
    });
    expect(
      await db.one('select period from credits.entries where account_id = $1', [account]),
    ).toEqual({ period: '2024-01-01' });
  }
});

test('the times of the views are moments, whatever zone shows them', async () => {
  const query = `select extract(epoch from expires_at)::text as expires from credits.grants
    where account_id = 'acme'`;
  expect((await odd.query(query)).rows).toEqual(await db.query(query));
});
