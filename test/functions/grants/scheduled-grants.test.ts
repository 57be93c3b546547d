import { expect, test } from 'vitest';
import { deductAt, type Grant, grantAt, settleAt } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, moment, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');
const nothing = { available: 0, scoped: 0, held: 0, debt: 0 };

/** A grant of 20 that begins a day after the start. */
const schedule = (account: string, grant: Partial<Grant> = {}) =>
  grantAt(db, account, start, { key: 'grant', amount: 20, effective: start + DAY, ...grant });

test('a scheduled grant is in no figure before its moment', async () => {
  const effective = us('2199-01-01T00:00:00Z');
  await schedule('before', { effective, expires: effective + DAY });
  expect(
    await db.one(
      `select balance, held, debt, available, scoped, credits_used, calls, next_expiry_at,
         next_expiry_amount
       from credits.remaining where account_id = 'before'`,
    ),
  ).toEqual({
    balance: 0,
    held: 0,
    debt: 0,
    available: 0,
    scoped: 0,
    credits_used: 0,
    calls: 0,
    next_expiry_at: null,
    next_expiry_amount: null,
  });
  for (const view of ['entries', 'transactions', 'invoice']) {
    expect(await db.query(`select from credits.${view} where account_id = 'before'`)).toEqual([]);
  }
  expect(await figuresAt(db, 'before', effective - 1)).toEqual(nothing);
  const early = deductAt(db, 'before', effective - 1, { key: 'early', amount: 1 });
  expect(await raised(early)).toMatchObject({ code: 'PT402', detail: { available: 0 } });
  expect(await discrepancies(db)).toEqual([]);
});

test('a scheduled grant is there at its moment, whether or not anything has settled it', async () => {
  await schedule('at');
  const then = { ...nothing, available: 20 };
  expect(await figuresAt(db, 'at', start + DAY)).toEqual(then);
  expect(await settleAt(db, 'at', start + DAY - 1)).toMatchObject({ balance: 0, available: 0 });
  expect(await settleAt(db, 'at', start + DAY)).toMatchObject({ balance: 20, available: 20 });
  expect(await figuresAt(db, 'at', start + DAY)).toEqual(then);
  await schedule('spent');
  const all = { key: 'all', amount: 20 };
  expect(await deductAt(db, 'spent', start + DAY, all)).toMatchObject({ balance: 0 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a scheduled grant is booked for the moment when it was due, in that period, however late', async () => {
  await schedule('late', { effective: us('2024-02-03T00:00:00Z') });
  await settleAt(db, 'late', us('2024-05-05T00:00:00Z'));
  expect(
    await db.query(
      `select kind, amount, idempotency_key, period, effective_at = '2024-02-03Z' as on_time,
         created_at = '2024-05-05Z' as late
       from credits.transactions where account_id = 'late'`,
    ),
  ).toEqual([
    {
      kind: 'grant',
      amount: 20,
      idempotency_key: null,
      period: '2024-02-01',
      on_time: true,
      late: true,
    },
  ]);
  expect(
    await db.query(
      `select period, credits_granted, closing_balance from credits.invoice
       where account_id = 'late'`,
    ),
  ).toEqual([{ period: '2024-02-01', credits_granted: 20, closing_balance: 20 }]);
  expect(await discrepancies(db)).toEqual([]);
});

test('the answer to a scheduled grant has no transaction, nor has a replay before it begins, or after', async () => {
  const answer = await schedule('answer');
  expect(answer).toEqual({
    grant_id: 1,
    transaction_id: null,
    amount: 20,
    balance: 0,
    available: 0,
    replayed: false,
    repaid: 0,
    expires_at: null,
  });
  expect(await schedule('answer')).toEqual({ ...answer, replayed: true });
  await settleAt(db, 'answer', start + 2 * DAY);
  expect(await schedule('answer')).toEqual({ ...answer, replayed: true });
  const other = await raised(schedule('answer', { effective: start + DAY + 1 }));
  expect(other).toMatchObject({
    code: 'PT409',
    constraint: 'a_request_takes_effect_once',
    detail: { account_id: 'answer', idempotency_key: 'grant' },
  });
  expect(await discrepancies(db)).toEqual([]);
});

test('a scheduled grant that begins and expires before anything settles it is booked at both moments', async () => {
  await schedule('gone', { expires: start + 3 * DAY });
  await schedule('gone', { key: 'next', effective: start + 2 * DAY, expires: start + 2 * DAY + 1 });
  expect(await figuresAt(db, 'gone', start + 2 * DAY)).toEqual({ ...nothing, available: 40 });
  expect(await figuresAt(db, 'gone', start + 3 * DAY - 1)).toEqual({ ...nothing, available: 20 });
  expect(await figuresAt(db, 'gone', start + 3 * DAY)).toEqual(nothing);
  await settleAt(db, 'gone', start + 9 * DAY);
  const rows = await db.query(
    `select kind, grant_id, effective_at = created_at as on_time,
       extract(epoch from effective_at - $1) * 1000000 as after
     from credits.entries where account_id = 'gone' order by entry_id`,
    [moment(start)],
  );
  expect(rows.map((row) => [row.kind, row.grant_id, Number(row.after), row.on_time])).toEqual([
    ['grant', 1, DAY, false],
    ['grant', 2, 2 * DAY, false],
    ['expiry', 2, 2 * DAY + 1, false],
    ['expiry', 1, 3 * DAY, false],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('of several scheduled grants at one moment, the first granted is booked first, after what expires then', async () => {
  await grantAt(db, 'several', start, { key: 'old', amount: 5, expires: start + DAY });
  await schedule('several', { key: '2', amount: 1 });
  await schedule('several', { key: '3', amount: 2, operations: ['search'] });
  await schedule('several', { key: '4', amount: 4, priority: 1 });
  expect(await figuresAt(db, 'several', start + DAY)).toMatchObject({ available: 5, scoped: 2 });
  expect(await figuresAt(db, 'several', start + DAY, 'search')).toMatchObject({ available: 7 });
  await deductAt(db, 'several', start + DAY, { key: 'all', amount: 7, operation: 'search' });
  expect(await entriesOf(db, 'several', 2)).toEqual([
    ['expiry', -5, 1],
    ['grant', 1, 2],
    ['grant', 2, 3],
    ['grant', 4, 4],
    ['deduction', -4, 4],
    ['deduction', -2, 3],
    ['deduction', -1, 2],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});
