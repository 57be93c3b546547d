import { beforeAll, expect, test } from 'vitest';
import { readOneMoment } from '../../../scripts/adoption/app/moment.ts';
import type { Cause } from '../../../scripts/adoption/diagnose/causes.ts';
import {
  type AccountDiagnosis,
  diagnose,
  disagrees,
} from '../../../scripts/adoption/diagnose/diagnosis.ts';
import { parseMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { useDatabase } from '../../support/database.ts';

const db = useDatabase({ empty: true });
beforeAll(() =>
  db.query(`
    create table public.transactions (
      account_id text, id int generated always as identity, at timestamptz default '2026-01-01T00:00:00Z',
      amount bigint, after bigint, kind text, refunds int, reference text, key text
    );
    create table public.balances (account_id text, balance bigint);
    create table public.counters (account_id text, key text, credits bigint, calls bigint, since timestamptz);
  `),
);

const mapping = `
balances: { table: public.balances, account_id: account_id, balance: balance }
transactions:
  { table: public.transactions, account_id: account_id, transaction_id: id, amount: amount, created_at: at,
    balance_after: after, kind: kind, refunded_transaction_id: refunds, reference: reference, api_key_id: key }
counters:
  - { name: used, table: public.counters, account_id: account_id, api_key_id: key, value: credits, counts: credits,
      since: since, where: credits is not null }
  - { name: calls, table: public.counters, account_id: account_id, api_key_id: key, value: calls, counts: calls,
      where: calls is not null }
`;

interface Row {
  amount: number;
  after?: number | null;
  kind?: string;
  refunds?: number;
  reference?: string;
  key?: string | null;
  at?: string;
}
interface Books {
  rows?: Row[];
  balance?: number;
  counters?: { key: string | null; credits?: number; calls?: number; since?: string }[];
}

/** What the account's books are found to be. */
async function read(books: Books, change = (text: string) => text) {
  for (const table of ['transactions', 'balances', 'counters'])
    await db.query(`truncate public.${table} restart identity`);
  await db.query(
    `insert into public.transactions (account_id, at, amount, after, kind, refunds, reference, key)
     select 'a', coalesce(at, '2026-01-01T00:00:00Z'), amount, after, kind, refunds, reference, key
     from jsonb_populate_recordset(null::public.transactions, $1)`,
    [JSON.stringify(books.rows ?? [])],
  );
  if (books.balance !== undefined)
    await db.query(`insert into public.balances values ('a', $1)`, [books.balance]);
  await db.query(
    `insert into public.counters
     select 'a', key, credits, calls, since from jsonb_populate_recordset(null::public.counters, $1)`,
    [JSON.stringify(books.counters ?? [])],
  );
  const client = await db.connect();
  const accounts: AccountDiagnosis[] = [];
  await readOneMoment(client, async () => {
    for await (const each of diagnose(client, parseMapping(change(mapping)))) accounts.push(each);
  });
  await client.end();
  expect(accounts).toHaveLength(1);
  return accounts[0];
}

/** Why its surfaces differ. */
const found = async (...of: Parameters<typeof read>) =>
  (await read(...of))?.causes.map(lineOf) ?? [];

const lineOf = ({ surface, cause, rows, effect, once }: Cause) =>
  [surface, cause, rows ?? '?', effect, ...(once === undefined ? [] : [once ?? '?'])].join(' ');

/** Debits and other transactions, each with the correct balance after it. */
function right(...rows: Row[]): Row[] {
  let balance = 0;
  return rows.map((row) => {
    balance += row.amount;
    return { after: balance, ...row };
  });
}
const debit = (amount: number, more: Partial<Row> = {}): Row => ({
  amount: -amount,
  key: 'k',
  ...more,
});
const grant: Row = { amount: 100 };
const both = (credits: number, calls: number, key: string | null = 'k') => [
  { key, credits, calls },
];

test.each<[string, Books, string[]]>([
  [
    'books that are right',
    { rows: right(grant, debit(5), debit(1)), balance: 94, counters: both(6, 2) },
    [],
  ],
  [
    'a balance, and no transaction',
    { balance: 7 },
    ['balance balance_changed_without_transaction 1 7'],
  ],
  ['a counter, and no transaction', { counters: both(3, 0) }, ['counter used unexplained ? 3']],
  [
    'an opening balance before the first transaction',
    {
      rows: [{ amount: 100, after: 130 }, debit(5, { after: 125 })],
      balance: 125,
      counters: both(5, 1),
    },
    ['balance balance_changed_without_transaction 1 30'],
  ],
  [
    'a balance_after that is wrong in the last row',
    { rows: [...right(grant), debit(5, { after: 99 })], balance: 95, counters: both(5, 1) },
    ['balance chain_gaps 1 0'],
  ],
  [
    'two rows in the other order than they were booked in',
    {
      rows: [
        ...right(grant),
        debit(5, { after: 92 }),
        debit(3, { after: 97 }),
        debit(1, { after: 91 }),
      ],
      balance: 91,
      counters: both(9, 3),
    },
    ['balance chain_gaps 2 0'],
  ],
  [
    'old rows without a balance_after, and a change among them',
    {
      rows: [
        { amount: 100, after: null },
        debit(5, { after: null }),
        debit(5, { after: 95 }),
        debit(5, { after: 90 }),
      ],
      balance: 90,
      counters: both(15, 3),
    },
    ['balance balance_changed_without_transaction 1 5'],
  ],
  [
    'a debit that the balance never saw',
    {
      rows: [...right(grant), debit(5, { after: 100 }), debit(1, { after: 99 })],
      balance: 99,
      counters: both(6, 2),
    },
    ['balance balance_changed_without_transaction 1 5'],
  ],
  [
    'a refund that the balance never saw',
    {
      rows: [...right(grant, debit(5)), { amount: 5, after: 95, kind: 'refund', refunds: 2 }],
      balance: 95,
      counters: both(0, 1),
    },
    ['balance refunds_left_out 1 -5'],
  ],
  [
    'a refund with the reference of its debit is no duplicate',
    {
      rows: right(grant, debit(5, { reference: 'r' }), {
        amount: 5,
        kind: 'refund',
        refunds: 2,
        reference: 'r',
      }),
      balance: 100,
      counters: both(0, 1),
    },
    [],
  ],
  [
    'duplicates: one that the balance has once, one that it has twice',
    {
      rows: right(
        grant,
        debit(5, { reference: 'r' }),
        debit(5, { reference: 'r', after: 95 }),
        debit(1, { after: 94 }),
        debit(2, { reference: 's', after: 92 }),
        debit(2, { reference: 's', after: 90 }),
      ),
      balance: 90,
      counters: both(15, 5),
    },
    ['balance duplicates 2 5 1'],
  ],
  [
    'duplicates that the counters have once',
    {
      rows: right(grant, debit(5, { reference: 'r' }), debit(5, { reference: 'r' })),
      balance: 90,
      counters: both(5, 1),
    },
    ['balance duplicates 1 0 0', 'counter used duplicates 1 -5', 'counter calls duplicates 1 -1'],
  ],
  [
    'increments of 1',
    { rows: right(grant, debit(5), debit(3)), balance: 92, counters: both(4, 2) },
    ['counter used counted_as_one ? -4'],
  ],
  [
    'more missing than increments of 1 explain',
    { rows: right(grant, debit(5), debit(3)), balance: 92, counters: both(1, 0) },
    ['counter used unexplained ? -7', 'counter calls unexplained ? -2'],
  ],
  [
    'a refund that the counter never saw, which its debit tells the key of',
    {
      rows: right(grant, debit(5), { amount: 5, kind: 'refund', refunds: 2 }),
      balance: 100,
      counters: both(5, 1),
    },
    ['counter used refunds_left_out ? 5'],
  ],
  [
    'a refund of nobody knows what',
    {
      rows: right(grant, debit(5), { amount: 5, kind: 'refund' }),
      balance: 100,
      counters: both(5, 1),
    },
    ['counter used refunds_left_out ? 5'],
  ],
  [
    'more counted than refunds explain',
    {
      rows: right(grant, debit(5), { amount: 5, kind: 'refund', key: 'k' }),
      balance: 100,
      counters: both(6, 1),
    },
    ['counter used unexplained ? 6'],
  ],
  [
    'debits with no key, of which one is refunded, and with a key that is gone',
    {
      rows: right(
        grant,
        debit(5, { key: null }),
        debit(3, { key: null }),
        { amount: 3, kind: 'refund', refunds: 3 },
        debit(7, { key: 'gone' }),
        debit(1, { key: '' }),
      ),
      balance: 87,
      counters: both(0, 0),
    },
    [
      'counter used debits_without_api_key 3 -6',
      'counter used unknown_api_key 1 -7',
      'counter calls debits_without_api_key 3 -3',
      'counter calls unknown_api_key 1 -1',
      'api_key_calls debits_without_api_key 3 -3',
    ],
  ],
  [
    'what is before a counter’s window is not counted',
    {
      rows: right(
        grant,
        debit(5),
        debit(1, { key: null }),
        debit(3, { at: '2026-02-01T00:00:00Z' }),
        debit(2, { at: '2026-02-02T00:00:00Z', key: null }),
      ),
      balance: 89,
      counters: [{ key: 'k', credits: 3, calls: 2, since: '2026-02-01T00:00:00Z' }],
    },
    [
      'counter used debits_without_api_key 1 -2',
      'counter calls debits_without_api_key 2 -2',
      'api_key_calls debits_without_api_key 2 -2',
    ],
  ],
])('%s', async (_, books, expected) => {
  expect(await found(books)).toEqual(expected);
});

const withoutChain = (text: string) => text.replace('balance_after: after, ', '');
test.each<[string, number, string[]]>([
  ['the balance has them once', 95, ['balance duplicates 1 5 1']],
  ['the balance has them twice', 90, ['balance duplicates 1 0 0']],
  [
    'nothing tells',
    93,
    ['balance duplicates 1 0 ?', 'balance balance_changed_without_transaction ? 3'],
  ],
])('without a chain, duplicates: %s', async (_, balance, expected) => {
  const rows = [grant, debit(5, { reference: 'r' }), debit(5, { reference: 'r' })];
  expect(await found({ rows, balance, counters: both(10, 2) }, withoutChain)).toEqual(expected);
});

const withoutReference = (text: string) => text.replace('reference: reference, ', '');
test('without a reference, the same row at the same moment may be a duplicate', async () => {
  const at = '2026-01-02T00:00:00Z';
  const rows = right(grant, debit(5, { at }), debit(5, { at }), debit(5, { at, key: 'other' }));
  const counters = [...both(10, 2), ...both(5, 1, 'other')];
  expect(await found({ rows, balance: 85, counters }, withoutReference)).toEqual([
    'balance possible_duplicates 1 0 0',
  ]);
});

test('what may be a duplicate is no reason to disagree, unless a figure has it once', async () => {
  const rows = [grant, debit(5), debit(5), debit(5)];
  const change = (text: string) => withoutReference(withoutChain(text));
  const suspected = await read({ rows, balance: 85, counters: both(15, 3) }, change);
  expect(suspected?.causes.map(lineOf)).toEqual(['balance possible_duplicates 2 0 0']);
  expect(suspected && disagrees(suspected)).toBe(false);
  const once = await read({ rows, balance: 95, counters: both(5, 1) }, change);
  expect(once?.causes.map(lineOf)).toEqual([
    'balance possible_duplicates 2 10 2',
    'counter used possible_duplicates 2 -10',
    'counter calls possible_duplicates 2 -2',
  ]);
  expect(once && disagrees(once)).toBe(true);
});

test('a kind REFUND in capitals is a refund, too', async () => {
  const rows = right(grant, debit(5), { amount: 5, kind: 'REFUND', refunds: 2 });
  expect(await found({ rows, balance: 100, counters: both(0, 1) })).toEqual([]);
});

test('of forty counters, each has its own figures', async () => {
  const more = Array.from(
    { length: 38 },
    (_, i) => `
  - { name: c${i}, table: public.counters, account_id: account_id, value: credits, counts: credits,
      since: "since + interval '${i} days'", where: credits is not null }`,
  ).join('');
  const days = Array.from({ length: 38 }, (_, i) => new Date(Date.UTC(2026, 0, i + 1, 1)));
  const rows = right(grant, ...days.map((day) => debit(1, { at: day.toISOString() })));
  const counters = [{ key: 'k', credits: 38, calls: 38, since: '2026-01-01T00:00:00Z' }];
  // Of 38 debits, a day each, the counter that begins i days later should have i less.
  expect(await found({ rows, balance: 62, counters }, (text) => text + more)).toEqual(
    Array.from({ length: 37 }, (_, i) => `counter c${i + 1} unexplained ? ${i + 1}`),
  );
});

test('without keys on transactions, counters of keys are compared by account', async () => {
  const counters = [...both(4, 1), ...both(1, 2, 'other')];
  expect(
    await found({ rows: right(grant, debit(5), debit(3)), balance: 92, counters }, (text) =>
      text.replace(', api_key_id: key }', ' }'),
    ),
  ).toEqual(['counter used counted_as_one ? -3', 'counter calls unexplained ? 1']);
});

test('accounts come in one order, each once, wherever they are', async () => {
  await found({ rows: right(grant), balance: 100, counters: both(0, 0) });
  await db.query(`
    insert into public.transactions (account_id, amount, after) values ('B', 1, 1), ('é', 1, 1), ('b', 1, 1);
    insert into public.balances values ('B', 1), ('c', 0)`);
  const client = await db.connect();
  const ids: string[] = [];
  await readOneMoment(client, async () => {
    for await (const each of diagnose(client, parseMapping(mapping))) ids.push(each.account_id);
  });
  expect(ids).toEqual(['B', 'a', 'b', 'c', 'é']);
});
