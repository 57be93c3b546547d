import { beforeAll, describe, expect, test } from 'vitest';
import { captureAt, deductAt, grantAt, holdAt, overdraftAt } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { writeHistory } from '../../support/history.ts';
import { asOwner, insertEntry } from '../../support/ledger.ts';
import { us } from '../../support/time.ts';

// How the head works is said in ARCHITECTURE.md.

const db = useDatabase();
const start = us('2024-03-01T00:00:00Z');

const headOf = async (account: string) =>
  db.one(
    `select head_grant_id, balance - plain_above as free, balance + available_above as available,
       (select remaining from credits_private.grants as g
        where g.account_id = a.account_id and g.grant_id = coalesce(a.head_grant_id, 1)) as stored
     from credits_private.accounts as a where account_id = $1`,
    [account],
  );

/** An account whose head is up: 100 were granted, and twice 10 of them spent. */
async function withHead(account: string, expires: number | null = null) {
  await grantAt(db, account, start, { key: 'grant', amount: 100, expires });
  for (const key of ['one', 'two']) await deductAt(db, account, start, { key, amount: 10 });
}

test('the second deduction in a row takes up the head, and the next ones write no grant', async () => {
  await grantAt(db, 'row', start, { key: 'grant', amount: 100 });
  await deductAt(db, 'row', start, { key: 'one', amount: 10 });
  expect(await headOf('row')).toMatchObject({ head_grant_id: null, stored: 90 });
  await deductAt(db, 'row', start, { key: 'two', amount: 10 });
  for (const key of ['three', 'four']) await deductAt(db, 'row', start, { key, amount: 10 });
  expect(await headOf('row')).toEqual({ head_grant_id: 1, free: 60, available: 60, stored: 80 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a hold on the head and its capture leave the head up', async () => {
  await withHead('held');
  await holdAt(db, 'held', start, { key: 'hold', amount: 30 });
  expect(await headOf('held')).toMatchObject({ head_grant_id: 1, free: 50, available: 50 });
  await captureAt(db, 'held', start, { key: 'capture', hold: 1, amount: 25 });
  expect(await headOf('held')).toEqual({ head_grant_id: 1, free: 55, available: 55, stored: 80 });
  expect(await discrepancies(db)).toEqual([]);
});

describe('the head is put down by', () => {
  test.each<[string, (account: string) => Promise<unknown>]>([
    ['what exhausts it', (account) => deductAt(db, account, start, { key: 'all', amount: 80 })],
    ['another grant', (account) => grantAt(db, account, start, { key: 'more', amount: 5 })],
    ['another overdraft limit', (account) => overdraftAt(db, account, start, 7)],
    ['closing the account', (account) => db.query(`select credits.close_account($1)`, [account])],
    [
      'its expiry',
      (account) =>
        db.query('select credits_private.settle_account_at($1, $2)', [account, '2024-04-01']),
    ],
  ])('%s', async (what, putDown) => {
    await withHead(what, us('2024-03-20T00:00:00Z'));
    expect(await headOf(what)).toMatchObject({ head_grant_id: 1 });
    await putDown(what);
    expect(await headOf(what)).toMatchObject({ head_grant_id: null });
    expect(await discrepancies(db)).toEqual([]);
  });
});

test('an entry that is not plain is refused while a head is up, to the owner too', async () => {
  await withHead('forgotten');
  const entry = { grant_id: 1, kind: 'grant', amount: 5 };
  const error = await raised(insertEntry(db, 'forgotten', entry));
  expect(error).toMatchObject({ code: '23514', constraint: 'grants_equal_ledger' });
});

test('an entry by hand that passes a limit is refused for the limit while a head is up', async () => {
  await withHead('limited');
  await db.query(`select credits.set_limit('limited', 'few', 5)`);
  const error = await raised(insertEntry(db, 'limited', { amount: -10 }));
  expect(error).toMatchObject({ code: '23514', constraint: 'limits_are_never_passed' });
});

test.each([
  'head_balance = head_balance + 1',
  'plain_above = plain_above - 1',
  'available_above = 9',
  `scoped_operations = '{search}'`,
  'head_grant_id = null, head_balance = null, plain_above = 9007199254740992, available_above = 0',
])('a head that is changed by hand is refused: %s', async (change) => {
  const account = change.slice(0, 20);
  await withHead(account);
  await deductAt(db, account, start, { key: 'three', amount: 10 });
  const update = asOwner(
    db,
    `update credits_private.accounts set ${change} where account_id = $1`,
    [account],
  );
  expect(await raised(update)).toMatchObject({
    code: '23514',
    constraint: 'counters_change_only_with_the_ledger',
  });
});

describe('histories with and without a head', () => {
  const seeds = [11, 12, 13, 14];
  const rows = async (relation: string, account: string, order: string) =>
    JSON.stringify(
      await db.query(
        `select to_jsonb(v) - 'account_id' as row from ${relation} as v
         where account_id = $1 order by ${order}`,
        [account],
      ),
    );

  beforeAll(async () => {
    // Accounts whose name says so never get a head.
    const [{ definition }] = (await db.query(
      `select pg_get_functiondef('credits_private.take_up_head(text, bigint)'::regprocedure) as definition`,
    )) as [{ definition: string }];
    await db.query(
      definition.replace(
        'begin\n',
        `begin\n  if p_account_id like 'without %' then return; end if;\n`,
      ),
    );
  });

  test.each(seeds)('end in the same rows and answers, seed %i', async (seed) => {
    const names = [`with ${seed}`, `without ${seed}`];
    for (const name of names) await writeHistory(db, name, seed, { steps: 120 });
    const [one = '', other = ''] = names;
    for (const [relation, order] of [
      ['credits_private.entries', 'entry_id'],
      ['credits_private.remainders', 'grant_id'],
      ['credits_private.holds', 'hold_id'],
      ['credits_private.hold_parts', 'part_id'],
      ['credits_private.usage_counters', 'period, api_key_id, operation'],
      ['credits_private.idempotency_keys', 'idempotency_key'],
      ['credits.remaining', '1'],
      ['credits.invoice', 'period'],
      ['credits.grants', 'grant_id'],
    ] as const)
      expect(await rows(relation, one, order), relation).toBe(await rows(relation, other, order));
    expect(await discrepancies(db)).toEqual([]);
  });
});
