import { beforeEach, expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  extendAt,
  grantAt,
  holdAt,
  releaseAt,
  settleAt,
  unique,
} from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt } from '../../support/ledger.ts';
import { DAY, HOUR, moment, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');
const expiry = start + DAY;

// 10 credits that expire after a day; 6 of them are held, for as long as the test says.
let account: string;
beforeEach(async () => {
  account = unique('account');
  await grantAt(db, account, start, { key: 'grant', amount: 10, expires: expiry });
});
const hold = (expiresIn: string, amount = 6) =>
  holdAt(db, account, start, { key: 'hold', amount, expiresIn });
const capture = (at: number, amount: number, final = true) =>
  captureAt(db, account, at, { key: `capture ${amount}`, hold: 1, amount, final });

/** Expiries and the moments at which they took effect. */
const expiries = async () =>
  (
    await db.query(
      `select amount, (extract(epoch from effective_at) * 1000000)::bigint as at
       from credits.entries where account_id = $1 and kind = 'expiry' order by entry_id`,
      [account],
    )
  ).map(({ amount, at }) => [amount, at]);

test('of a grant with a hold the unheld rest expires on time, and the held part survives', async () => {
  await hold('10 days');
  expect(await figuresAt(db, account, expiry - 1)).toMatchObject({ available: 4, held: 6 });
  expect(await figuresAt(db, account, expiry)).toMatchObject({ available: 0, held: 6 });
  expect(await settleAt(db, account, expiry + DAY)).toMatchObject({ balance: 6, available: 0 });
  expect(await expiries()).toEqual([[-4, expiry]]);
  const error = await raised(deductAt(db, account, expiry + DAY, { key: 'deduct', amount: 1 }));
  expect(error).toMatchObject({ code: 'PT402', detail: { available: 0 } });
  expect(await discrepancies(db, account)).toEqual([]);
});

test('what is held of an expired grant can be captured, and its excess comes from elsewhere', async () => {
  await hold('10 days');
  await grantAt(db, account, start, { key: 'lasting', amount: 5 });
  await capture(expiry, 2, false);
  expect(await capture(expiry + DAY, 9)).toMatchObject({ amount: 9, balance: 0, available: 0 });
  expect(await entriesOf(db, account, 3)).toEqual([
    ['expiry', -4, 1],
    ['capture', -2, 1],
    ['capture', -4, 1],
    ['capture', -5, 2],
  ]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test("a capture's excess does not draw on the expired rest of its grant", async () => {
  await hold('10 days');
  // At the very instant of the expiry, which nobody has booked yet.
  const error = await raised(capture(expiry, 7));
  expect(error).toMatchObject({ code: 'PT402', detail: { requested: 7, available: 6 } });
  expect(await capture(expiry, 6)).toMatchObject({ balance: 0 });
});

test('a final capture of less than is held of an expired grant lets the rest expire then', async () => {
  await hold('10 days');
  const answer = await capture(expiry + HOUR, 1);
  expect(answer).toMatchObject({ amount: 1, balance: 0, available: 0, held: 0 });
  expect(await expiries()).toEqual([
    [-4, expiry],
    [-5, expiry + HOUR],
  ]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test.each([
  ['before the expiry', expiry - 1, 10, 10, [[-10, expiry]]],
  [
    'at its very instant',
    expiry,
    0,
    0,
    [
      [-4, expiry],
      [-6, expiry],
    ],
  ],
  [
    'after it',
    expiry + HOUR,
    0,
    0,
    [
      [-4, expiry],
      [-6, expiry + HOUR],
    ],
  ],
])(
  'of a hold on an expiring grant, a release %s returns what has not expired, and the rest expires then',
  async (_, at, balance, available, expected) => {
    await hold('10 days');
    const release = { key: 'release', hold: 1 };
    const answer = await releaseAt(db, account, at, release);
    expect(answer).toMatchObject({ amount: 6, balance, available });
    await settleAt(db, account, expiry + 20 * DAY);
    expect(await expiries()).toEqual(expected);
    expect(await discrepancies(db, account)).toEqual([]);
  },
);

test.each([
  ['before its grant', '23:59:59.999999', [[-10, expiry]]],
  ['at the very instant of its grant', '24 hours', [[-10, expiry]]],
  [
    'a microsecond after its grant',
    '24:00:00.000001',
    [
      [-4, expiry],
      [-6, expiry + 1],
    ],
  ],
  [
    'long after its grant',
    '20 days',
    [
      [-4, expiry],
      [-6, start + 20 * DAY],
    ],
  ],
])(
  'a hold that expires %s loses its part at that moment, whoever books it and when',
  async (_, expiresIn, expected) => {
    await hold(expiresIn);
    const end = start + 20 * DAY;
    const figures = [
      await figuresAt(db, account, expiry),
      await figuresAt(db, account, expiry + 1),
      await figuresAt(db, account, end),
    ];
    expect(figures[2]).toMatchObject({ available: 0, held: 0 });
    // Settled late here, and at each moment there.
    const late = account;
    await settleAt(db, late, end);
    expect(await expiries()).toEqual(expected);
    account = unique('on time');
    await grantAt(db, account, start, { key: 'grant', amount: 10, expires: expiry });
    await hold(expiresIn);
    for (const [n, at] of [expiry, expiry + 1, end].entries()) {
      const { available } = await settleAt(db, account, at);
      expect(await figuresAt(db, account, at)).toEqual(figures[n]);
      expect(available).toBe(figures[n].available);
    }
    expect(await expiries()).toEqual(expected);
    expect(await entriesOf(db, account)).toEqual(await entriesOf(db, late));
    expect(await discrepancies(db)).toEqual([]);
  },
);

test('a hold ends at the very instant of its expiry, whether or not anything has settled it', async () => {
  await hold('1 hour');
  const end = start + HOUR;
  const before = { available: 4, scoped: 0, held: 6, debt: 0 };
  const after = { available: 10, scoped: 0, held: 0, debt: 0 };
  expect(await figuresAt(db, account, end - 1)).toEqual(before);
  expect(await figuresAt(db, account, end)).toEqual(after);
  for (const at of [end, end + HOUR]) {
    const error = await raised(capture(at, 1));
    expect(error).toMatchObject({ code: 'PT410', detail: { state: 'expired' } });
    expect(error.detail.resolved_at).toBe(moment(end).replace('.000000', ''));
  }
  // The refused calls have settled nothing, and the figures are the same when somebody has.
  const held = () =>
    db.one('select held from credits_private.grants where account_id = $1', [account]);
  expect(await held()).toEqual({ held: 6 });
  expect(await settleAt(db, account, end)).toMatchObject({ balance: 10, available: 10 });
  expect(await held()).toEqual({ held: 0 });
  expect(await figuresAt(db, account, end)).toEqual(after);
  expect((await raised(capture(end, 2))).detail.state).toBe('expired');
  // No entry: nothing was spent, and nothing expired.
  expect(await entriesOf(db, account)).toEqual([['grant', 10, 1]]);
});

test('what an expired hold returns can be spent by the very call that finds it expired', async () => {
  await hold('1 hour', 10);
  await deductAt(db, account, start + HOUR, { key: 'deduct', amount: 10 });
  expect(await entriesOf(db, account, 2)).toEqual([['deduction', -10, 1]]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a hold that is extended beyond the expiry of its grant keeps what it holds of it', async () => {
  await hold('12 hours');
  await extendAt(db, account, start + HOUR, { hold: 1, expiresIn: '9 days' });
  expect(await capture(start + 9 * DAY, 6)).toMatchObject({ balance: 0 });
  expect(await expiries()).toEqual([[-4, expiry]]);
  expect(await discrepancies(db, account)).toEqual([]);
});
