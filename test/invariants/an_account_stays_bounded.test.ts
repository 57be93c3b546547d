import { beforeAll, expect, test } from 'vitest';
import {
  deductAt,
  extendAt,
  grantAt,
  holdAt,
  refundAt,
  releaseAt,
  unique,
} from '../support/calls.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import { DAY, us } from '../support/time.ts';

// A database of its own, in which five are as many as elsewhere ten thousand.
const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');
const most = 5;
beforeAll(() =>
  db.query(`create or replace function credits_private.most_at_once() returns bigint
    language sql immutable set search_path = pg_temp as 'select ${most}'`),
);

const refused = (account_id: string, what: string) => ({
  code: 'PT429',
  constraint: 'an_account_stays_bounded',
  detail: { account_id, what, most, invariant: 'an_account_stays_bounded' },
});

test('no hold is made beside as many open ones as an account may have, until one of them ends', async () => {
  const account = unique('holds');
  const hold = (at = start, expiresIn = '1 day') =>
    holdAt(db, account, at, { key: unique(), amount: 1, expiresIn });
  await grantAt(db, account, start, { key: 'grant', amount: 100 });
  for (let n = 0; n < most; n += 1) await hold();
  expect(await raised(hold())).toMatchObject(refused(account, 'open holds'));
  await releaseAt(db, account, start, { key: 'release', hold: 3 });
  await hold();
  expect(await raised(hold())).toMatchObject(refused(account, 'open holds'));
  await extendAt(db, account, start, { hold: 1, expiresIn: '9 days' });
  // The others have expired, whether or not that was settled. Now the ids are further apart.
  for (let n = 1; n < most; n += 1) await hold(start + DAY, '9 days');
  expect(await raised(hold(start + DAY))).toMatchObject(refused(account, 'open holds'));
  expect(await discrepancies(db)).toEqual([]);
});

test('no grant is given beside as many live ones as an account may have, but refunds go on', async () => {
  const account = unique('grants');
  const grant = (terms: object = {}, at = start) =>
    grantAt(db, account, at, { key: unique(), amount: 10, ...terms });
  await grant({ expires: start + DAY });
  const spent = await deductAt(db, account, start, { key: 'spent', amount: 10 });
  for (let n = 1; n < most; n += 1) await grant();
  await grant({ effective: start + 9 * DAY }); // the first one is spent
  expect(await raised(grant())).toMatchObject(refused(account, 'live grants'));
  const refund = { key: 'refund', transaction: spent.transaction_id };
  expect(await refundAt(db, account, start + DAY, refund)).toMatchObject({ amount: 10 });
  await deductAt(db, account, start + DAY, { key: 'one less', amount: 10 });
  expect(await raised(grant({}, start + DAY))).toMatchObject(refused(account, 'live grants'));
  await deductAt(db, account, start + DAY, { key: 'two less', amount: 10 });
  await grant({}, start + DAY);
  expect(await discrepancies(db)).toEqual([]);
});

test('holds and grants beyond ten thousand are found', async () => {
  const client = await db.connect();
  const found = async () =>
    (await discrepancies(client, 'beyond'))
      .map(({ finding }) => finding)
      .filter(([name]) => name.endsWith('bounded'));
  await grantAt(db, 'beyond', start, { key: 'grant', amount: 1 });
  await client.query(`begin; set local session_replication_role = replica;
    insert into credits_private.holds (account_id, hold_id, amount, expires_at, created_at)
    select 'beyond', n, 1, '2099-01-01Z', '2024-01-10Z' from generate_series(1, 10000) as n;
    insert into credits_private.grants (account_id, grant_id, amount, effective_at, created_at,
      priority, source, is_scheduled)
    select 'beyond', n, 1, '2099-01-01Z', '2024-01-10Z', 1, 'plan', true
    from generate_series(2, 10000) as n`);
  expect(await found()).toEqual([]);
  await client.query(`
    insert into credits_private.holds (account_id, hold_id, amount, expires_at, created_at)
    values ('beyond', 10001, 1, '2099-01-01Z', '2024-01-10Z');
    insert into credits_private.grants (account_id, grant_id, amount, effective_at, created_at,
      priority, source, is_scheduled)
    values ('beyond', 10001, 1, '2099-01-01Z', '2024-01-10Z', 1, 'plan', true)`);
  expect(await found()).toEqual([
    ['an_account_stays_bounded', 'live grants', 'at most 10000', '10001'],
    ['an_account_stays_bounded', 'open holds', 'at most 10000', '10001'],
  ]);
  await client.query('rollback');
});
