import { describe, expect, test } from 'vitest';
import { expectNoDiscrepancies } from '../../concurrency/race.ts';
import { deductAt, grantAt, holdAt, limitAt } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { balanceOf, entriesOf } from '../../support/ledger.ts';
import { seedOf } from '../../support/random.ts';
import { DAY, us } from '../../support/time.ts';
import {
  callHistory,
  importHistory,
  importRows,
  type Legacy,
  ledgerOf,
  randomHistory,
} from '../history.ts';

const db = useDatabase();
const seed = seedOf(5);
const start = us('2024-01-20T12:00:00Z');
const limit = 9_007_199_254_740_991;

const metadataOf = async (account: string) =>
  (
    await db.query(
      `select metadata from credits.transactions where account_id = $1 order by transaction_id`,
      [account],
    )
  ).map(({ metadata }) => metadata);

describe('a history that is imported is the ledger of the same calls, made at those moments', () => {
  const berlin = { unit: 'usd', scale: 2, zone: 'Europe/Berlin', anchor: 31 };
  test.each([
    [seed, {}],
    [seed + 1, berlin],
    [seed + 2, { zone: 'America/Los_Angeles', anchor: 15 }],
  ])('made from seed %i with %j', async (each, settings) => {
    const history = randomHistory(each, 120);
    const [ours, theirs] = [`imported ${each}`, `called ${each}`];
    expect(await importHistory(db, ours, history, settings)).toBe(120);
    await callHistory(db, theirs, history, settings);
    const ledger = await ledgerOf(db, ours);
    expect(ledger).toEqual(await ledgerOf(db, theirs));
    const kinds = new Set((ledger.entries as { kind: string }[]).map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(['deduction', 'grant', 'refund', 'repay']);
    expect(await balanceOf(db, ours)).toBe(history.reduce((sum, { amount }) => sum + amount, 0));
    await expectNoDiscrepancies(db);
  });
});

test('importing a history again, in whole or in part, changes nothing', async () => {
  const history = randomHistory(seed + 3, 80);
  await importHistory(db, 'again', history);
  const before = await ledgerOf(db, 'again');
  expect(await importRows(db, 'again', history)).toBe(80);
  expect(await importRows(db, 'again', history.slice(20, 30))).toBe(10);
  expect(await ledgerOf(db, 'again')).toEqual(before);
});

test('importing a transaction that has changed since is refused, like any key with other arguments', async () => {
  const debit: Legacy = { id: 'd', at: start, amount: -5 };
  const credit: Legacy = { id: 'c', at: start, amount: 9 };
  const refund: Legacy = { id: 'r', at: start, amount: 2, isRefund: true, refunded: 'd' };
  await importHistory(db, 'changed', [credit, debit, refund]);
  for (const each of [
    { ...debit, amount: -6 },
    { ...credit, amount: 8 },
    { ...credit, amount: -9 },
    { ...debit, amount: 5 },
    { ...refund, amount: 1 },
  ]) {
    const { code, constraint } = await raised(importRows(db, 'changed', [each]));
    expect({ code, constraint }).toEqual({
      code: 'PT409',
      constraint: 'a_request_takes_effect_once',
    });
  }
});

test('an imported refund goes back to its original where one is known, and is otherwise a grant of source refund', async () => {
  const refund = (id: string, amount: number, refunded?: string): Legacy => ({
    id,
    amount,
    at: start + 1,
    isRefund: true,
    ...(refunded === undefined ? {} : { refunded }),
  });
  await importHistory(db, 'refunds', [
    { id: 'buy', at: start, amount: 100, kind: 'purchase' },
    { id: 'use', at: start, amount: -40 },
    refund('part', 15, 'use'),
    refund('too much', 26, 'use'),
    refund('the rest', 25, 'use'),
    refund('of nothing', 1, 'use'),
    refund('unknown', 7, 'lost'),
    refund('of a credit', 8, 'buy'),
    refund('of what', 9),
    { ...refund('with a kind', 3), kind: 'goodwill' },
  ]);
  expect(await entriesOf(db, 'refunds')).toEqual([
    ['grant', 100, 1],
    ['deduction', -40, 1],
    ['refund', 15, 1],
    ['grant', 26, 2],
    ['refund', 25, 1],
    ['grant', 1, 3],
    ['grant', 7, 4],
    ['grant', 8, 5],
    ['grant', 9, 6],
    ['grant', 3, 7],
  ]);
  const sources = await db.query(
    `select source from credits.grants where account_id = 'refunds' order by grant_id`,
  );
  expect(sources.map(({ source }) => source)).toEqual(
    'purchase refund refund refund refund refund goodwill'.split(' '),
  );
  const [, , , tooMuch, , ofNothing, unknown, , ofWhat] = await metadataOf('refunds');
  expect([tooMuch, ofNothing, unknown, ofWhat]).toEqual([
    { legacy_refund_of: 'use' },
    { legacy_refund_of: 'use' },
    { legacy_refund_of: 'lost' },
    {},
  ]);
});

test("an imported moment in the future becomes now, one before the last entry becomes that entry's, and the metadata keeps the original", async () => {
  const before = Date.now();
  await importHistory(db, 'moments', [
    { id: 'first', at: start, amount: 10 },
    { id: 'back', at: start - DAY, amount: 10 },
  ]);
  await importRows(db, 'moments', [
    { id: 'earlier', at: start - 9 * DAY, amount: -1 },
    { id: 'future', at: us('2999-01-01T00:00:00Z'), amount: -1 },
    { id: 'now', at: before * 1000, amount: -1 },
  ]);
  const rows = await db.query(
    `select effective_at, metadata from credits.transactions
     where account_id = 'moments' order by transaction_id`,
  );
  const moments = rows.map(({ effective_at }) => effective_at.getTime());
  expect(moments.slice(0, 3)).toEqual([start / 1000, start / 1000, start / 1000]);
  expect(moments[3]).toBeGreaterThanOrEqual(before);
  expect(moments[4]).toBe(moments[3]);
  expect(rows.map(({ metadata }) => metadata?.legacy_created_at)).toEqual([
    undefined,
    '2024-01-19T12:00:00Z',
    '2024-01-11T12:00:00Z',
    '2999-01-01T00:00:00Z',
    expect.stringMatching(/^20/),
  ]);
});

test('an imported kind, operation or run id that is too long is cut between characters, the same way each time', async () => {
  const long = `a${'ä'.repeat(500)}`;
  const label = `a${'ä'.repeat(127)}`;
  const history: Legacy[] = [
    { id: 'buy', at: start, amount: 9, kind: long },
    { id: 'use', at: start, amount: -5, operation: long, run: long },
  ];
  await importHistory(db, 'labels', history);
  const { source } = await db.one(`select source from credits.grants where account_id = 'labels'`);
  const used = `select operation, run_id from credits.transactions
    where account_id = 'labels' and amount < 0`;
  expect(source).toBe(label);
  expect(await db.one(used)).toEqual({ operation: label, run_id: label });
  const whole = long.slice(0, 400);
  expect(await metadataOf('labels')).toEqual([
    { legacy_kind: whole },
    { legacy_operation: whole, legacy_run_id: whole },
  ]);
  const before = await ledgerOf(db, 'labels');
  expect(await importRows(db, 'labels', history)).toBe(2);
  expect(await ledgerOf(db, 'labels')).toEqual(before);
});

test('an import leaves the overdraft limit as it was, however deep the history goes into debt', async () => {
  await db.one(`select credits.open_account('overdrawn', p_overdraft_limit => 50)`);
  await importHistory(db, 'overdrawn', [
    { id: 'a', at: start, amount: -30 },
    { id: 'b', at: start, amount: -1000 },
    { id: 'c', at: start, amount: -1 },
  ]);
  const { overdraft_limit, debt, available } = await db.one(
    `select overdraft_limit, debt, available from credits.remaining where account_id = 'overdrawn'`,
  );
  expect({ overdraft_limit, debt, available }).toEqual({
    overdraft_limit: 50,
    debt: 1031,
    available: 0,
  });
});

test('an account that was opened but never used begins with its imported history', async () => {
  const history = randomHistory(seed + 4, 40);
  const settings = { zone: 'Asia/Kolkata', anchor: 7 };
  await db.one(
    `select credits.open_account('opened', p_time_zone => 'Asia/Kolkata', p_metadata => '{"a": 1}')`,
  );
  await importHistory(db, 'opened', history, { anchor: 7 });
  await callHistory(db, 'not opened', history, settings);
  expect(await ledgerOf(db, 'opened')).toEqual(await ledgerOf(db, 'not opened'));
  const { metadata } = await db.one(
    `select metadata from credits.accounts where account_id = 'opened'`,
  );
  expect(metadata).toEqual({ a: 1 });
});

test('importing into an account that is in use is refused, and changes nothing of it', async () => {
  const now = Date.now() * 1000;
  await Promise.all([
    grantAt(db, 'has entries', now, { key: 'k', amount: 1 }),
    grantAt(db, 'has a scheduled grant', now, { key: 'k', amount: 1, effective: now + DAY }),
    db.one(`select credits.open_account('has a hold', p_overdraft_limit => 9)`),
    db.one(`select credits.open_account('has a limit')`),
    db.one(`select credits.open_account('closed')`),
  ]);
  await holdAt(db, 'has a hold', now, { key: 'k', amount: 1 });
  await limitAt(db, 'has a limit', now, { id: 'l', ceiling: 1 });
  await db.one(`select credits.close_account('closed')`);
  for (const account of [
    'has entries',
    'has a scheduled grant',
    'has a hold',
    'has a limit',
    'closed',
  ]) {
    const before = await ledgerOf(db, account);
    const { may } = await db.one('select credits_private.begin_import($1) as may', [account]);
    expect({ account, may }).toEqual({ account, may: false });
    const { code } = await raised(
      db.one(`select credits_private.set_beginning($1, null, null, 'UTC', null, '2020-01-01')`, [
        account,
      ]),
    );
    expect({ account, code }).toEqual({ account, code: 'PT409' });
    expect(await ledgerOf(db, account)).toEqual(before);
  }
});

test.each([
  ['an amount beyond 2^53 - 1', { amount: limit + 1 }],
  ['one beyond -(2^53 - 1)', { amount: -limit - 1 }],
  ['the lowest bigint', { amount: '-9223372036854775808' as unknown as number }],
  ['a debt beyond 2^53 - 1', { amount: -limit }],
  ['no amount', { amount: null as unknown as number }],
  ['no id', { id: null as unknown as string }],
  ['an id that is too long', { id: 'x'.repeat(250) }],
  ['an API key that is too long', { apiKey: 'x'.repeat(256) }],
])('%s is 22023', async (name, change) => {
  await importHistory(db, name, [{ id: 'first', at: start, amount: -5 }]);
  const { code } = await raised(
    importRows(db, name, [{ id: 'second', at: start, amount: -5, ...change }]),
  );
  expect(code).toBe('22023');
});

test.each([
  ['no such zone', { zone: 'Moon/Sea' }],
  ['a scale of 16', { scale: 16 }],
  ['an anchor day of 0', { anchor: 0 }],
])('%s is 22023', async (name, settings) => {
  const history = [{ id: 'first', at: start, amount: 5 }];
  expect((await raised(importHistory(db, name, history, settings))).code).toBe('22023');
});

test("an opening balance is a grant, a debt or nothing, and the account's metadata keeps what was found", async () => {
  const end = (account: string, opening: number, difference: number) =>
    db
      .one('select credits_private.begin_import($1)', [account])
      .then(() =>
        db.one(`select credits_private.end_import($1, $2, $3, '{"found": true}') as entries`, [
          account,
          opening,
          difference,
        ]),
      );
  expect(await end('with both', 100, -30)).toEqual({ entries: 2 });
  expect(await end('in debt', -100, 30)).toEqual({ entries: 4 });
  expect(await end('with nothing', 0, 0)).toEqual({ entries: 0 });
  expect(await entriesOf(db, 'with both')).toEqual([
    ['grant', 100, 1],
    ['deduction', -30, 1],
  ]);
  expect(await entriesOf(db, 'in debt')).toEqual([
    ['deduction', -100, null],
    ['grant', 30, 1],
    ['repay', -30, 1],
    ['repay', 30, null],
  ]);
  const rows = await db.query(
    `select t.operation, g.source, t.idempotency_key, t.metadata
     from credits.transactions as t
     left join credits.entries as e using (account_id, transaction_id)
     left join credits.grants as g on g.account_id = t.account_id and g.grant_id = e.grant_id
     where t.account_id = 'with both' order by t.transaction_id`,
  );
  expect(rows).toEqual([
    {
      operation: null,
      source: 'opening',
      idempotency_key: 'adoption opening',
      metadata: { found: true },
    },
    {
      operation: 'adoption difference',
      source: 'opening',
      idempotency_key: 'adoption difference',
      metadata: { found: true },
    },
  ]);
  const { metadata } = await db.one(
    `select metadata from credits.accounts where account_id = 'with nothing'`,
  );
  expect(metadata).toEqual({ adoption: { found: true } });
  await deductAt(db, 'with both', Date.now() * 1000, { key: 'k', amount: 70 });
  await expectNoDiscrepancies(db);
});
