import { describe, expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  type Grant,
  grantAt,
  holdAt,
  overdraftAt,
  releaseAt,
} from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf, figuresAt, partsOf } from '../../support/ledger.ts';
import { randomNumbers } from '../../support/random.ts';
import { DAY, HOUR, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');

interface Lot extends Omit<Grant, 'key'> {
  overdraft?: number;
}

async function grantAll(account: string, lots: Lot[], overdraft = 0): Promise<void> {
  for (const [i, lot] of lots.entries()) {
    await grantAt(db, account, start, { key: `grant ${i}`, ...lot });
  }
  await overdraftAt(db, account, start, overdraft);
}

/** What a hold reserves, and what a deduction draws in a twin of the account: grant and amount. */
async function drawnBy(
  name: string,
  call: { amount: number; operation?: string | null },
  lots: Lot[],
  overdraft = 0,
) {
  const [held, deducted] = [`${name} held`, `${name} deducted`];
  await grantAll(held, lots, overdraft);
  await grantAll(deducted, lots, overdraft);
  const answers = [
    await holdAt(db, held, start, { key: 'call', ...call }),
    await deductAt(db, deducted, start, { key: 'call', ...call }),
  ];
  expect(answers[0].available).toBe(answers[1].available);
  return {
    reserved: (await partsOf(db, held)).map(([, grant, amount]) => [grant, amount]),
    drawn: (await entriesOf(db, deducted, lots.length + 1)).map(([, amount, grant]) => [
      grant,
      -amount,
    ]),
  };
}

describe('a hold reserves from the very grants that a deduction would draw on', () => {
  const search = { operation: 'search' };
  test.each<[string, { amount: number; operation?: string }, Lot[], number, unknown]>([
    [
      'priority',
      { amount: 5 },
      [
        { amount: 9, priority: 2 },
        { amount: 9, priority: 1 },
      ],
      0,
      [[2, 5]],
    ],
    [
      'scope',
      { amount: 5, ...search },
      [{ amount: 9 }, { amount: 9, operations: ['search'] }],
      0,
      [[2, 5]],
    ],
    [
      'another scope',
      { amount: 5, ...search },
      [{ amount: 9, operations: ['other'] }, { amount: 9 }],
      0,
      [[2, 5]],
    ],
    [
      'expiry',
      { amount: 5 },
      [{ amount: 9 }, { amount: 9, expires: start + DAY }, { amount: 9, expires: start + HOUR }],
      0,
      [[3, 5]],
    ],
    [
      'free before paid',
      { amount: 5 },
      [{ amount: 9 }, { amount: 9, source: 'plan' }],
      0,
      [[2, 5]],
    ],
    [
      'several',
      { amount: 12 },
      [{ amount: 5 }, { amount: 5, priority: 1 }, { amount: 5, expires: start + DAY }],
      0,
      [
        [2, 5],
        [3, 5],
        [1, 2],
      ],
    ],
    [
      'the overdraft last',
      { amount: 8, ...search },
      [{ amount: 3 }, { amount: 2, operations: ['search'] }],
      4,
      [
        [2, 2],
        [1, 3],
        [null, 3],
      ],
    ],
  ])('%s', async (name, call, lots, overdraft, expected) => {
    const { reserved, drawn } = await drawnBy(name, call, lots, overdraft);
    expect(reserved).toEqual(expected);
    expect(drawn).toEqual(expected);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('any grants (seed %i)', async (seed) => {
    const { below, pick } = randomNumbers(seed);
    const lots = Array.from({ length: 8 }, () => ({
      amount: 1 + below(20),
      priority: pick(1, 2, 100),
      source: pick('purchase', 'plan'),
      expires: pick(null, start + 1, start + DAY),
      operations: pick(null, null, ['search'], ['other']),
    }));
    const usable = lots.filter(({ operations }) => operations?.[0] !== 'other');
    const all = usable.reduce((sum, { amount }) => sum + amount, 0);
    const call = { amount: 1 + below(all + 10), operation: 'search' };
    const { reserved, drawn } = await drawnBy(`seed ${seed}`, call, lots, 10);
    expect(reserved.length).toBeGreaterThan(0);
    expect(reserved).toEqual(drawn);
  });
});

test('a hold of more than is available fails whole, and says how much is', async () => {
  await grantAll('short', [{ amount: 5 }, { amount: 50, operations: ['other'] }], 2);
  const hold = { key: 'hold', amount: 8, operation: 'search' };
  expect(await raised(holdAt(db, 'short', start, hold))).toMatchObject({
    code: 'PT402',
    constraint: 'available_is_never_negative',
    detail: {
      account_id: 'short',
      requested: 8,
      available: 7,
      operation: 'search',
      invariant: 'available_is_never_negative',
    },
  });
  expect(await partsOf(db, 'short')).toEqual([]);
  // The refused hold has left neither a key nor a number.
  const answer = await holdAt(db, 'short', start, { ...hold, amount: 7 });
  expect(answer).toMatchObject({ hold_id: 1, available: 0, replayed: false });
});

test('what one hold has reserved cannot be spent by a deduction, nor reserved by another hold', async () => {
  await grantAll('others', [{ amount: 10 }], 4);
  await holdAt(db, 'others', start, { key: 'hold', amount: 12 });
  for (const call of [deductAt, holdAt]) {
    const error = await raised(call(db, 'others', start, { key: 'more', amount: 3 }));
    expect(error).toMatchObject({ code: 'PT402', detail: { requested: 3, available: 2 } });
  }
  await deductAt(db, 'others', start, { key: 'deduct', amount: 2 });
  const capture = { key: 'capture', hold: 1, amount: 12 };
  expect(await captureAt(db, 'others', start, capture)).toMatchObject({ balance: -4 });
  expect(await discrepancies(db)).toEqual([]);
});

const whole = [-5, -5, -3];
test.each<[string, (account: string) => Promise<unknown>, number[]]>([
  ['a release', (account) => releaseAt(db, account, start + 1, { key: 'end', hold: 1 }), whole],
  [
    'a final capture',
    (account) => captureAt(db, account, start + 1, { key: 'end', hold: 1, amount: 3 }),
    [-5, -5, -3],
  ],
  [
    'the expiry of the hold',
    (account) => deductAt(db, account, start + HOUR, { key: 'end', amount: 1 }),
    whole,
  ],
])(
  'what %s leaves returns to the same grants, though today another comes first',
  async (name, end, amounts) => {
    await grantAll(
      name,
      [
        { amount: 5, priority: 50 },
        { amount: 5, priority: 60 },
      ],
      4,
    );
    await holdAt(db, name, start, { key: 'hold', amount: 13 });
    await grantAt(db, name, start, { key: 'first', amount: 7, priority: 1 });
    await end(name);
    const ended = (await partsOf(db, name)).slice(3);
    expect(ended.map(([, , amount]) => amount)).toEqual(amounts);
    expect(ended.slice(-3).map(([, grant]) => grant)).toEqual([1, 2, null]);
    const { held } = await db.one(
      'select sum(held)::int as held from credits.grants where account_id = $1',
      [name],
    );
    expect(held).toBe(0);
    expect(await figuresAt(db, name, start + HOUR)).toMatchObject({ held: 0, debt: 0 });
    expect(await discrepancies(db)).toEqual([]);
  },
);
