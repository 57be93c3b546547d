import { expect, test } from 'vitest';
import type { Random } from '../../../tools/random.ts';
import { batch, call, callAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { asOwner } from '../../support/ledger.ts';
import { randomNumbers, seedOf } from '../../support/random.ts';
import { moment, us } from '../../support/time.ts';

const db = useDatabase();
const seed = seedOf();
const start = us('2024-05-01T00:00:00Z');

/** Two equal accounts, with some of what can come in the way of a batch. */
async function twins({ below, pick }: Random): Promise<[string, string]> {
  const pair: [string, string] = [unique('one by one'), unique('at once')];
  const grants = Array.from({ length: 1 + below(4) }, (_, i) => ({
    p_amount: 1 + below(90),
    p_idempotency_key: `grant ${i}`,
    p_priority: pick(1, 2),
    p_source: pick('purchase', 'plan'),
    // The first of these moments comes before the batch, which then settles it.
    p_expires_at: pick(null, null, '2024-05-01T00:00:00.5Z', '2024-06-01Z', '2024-07-01Z'),
    p_operations: pick(null, null, ['/search'], ['/search', '/other']),
  }));
  const limits = Array.from({ length: pick(0, 0, 1, 3) }, (_, i) => ({
    p_limit_id: `limit ${i}`,
    p_ceiling: 5 + below(40),
    p_overage: pick(0, 10),
    p_window: pick('hour', 'day', 'week', 'period', 'total'),
    ...pick<object>(
      { p_scope: 'account' },
      { p_scope: 'api_key' },
      { p_scope: 'operation', p_scope_id: '/search' },
      { p_scope: 'run', p_scope_id: 'run' },
    ),
  }));
  const overdraft = pick(0, 0, 25);
  const held = pick(0, below(10));
  const heldFor = pick('3 days', '0.5 seconds');
  const before = pick(0, 3);
  const isClosed = below(20) === 0;
  for (const p_account_id of pair) {
    const make = (name: string, args: object) =>
      callAt(db, name, moment(start), { p_account_id, ...args });
    for (const grant of grants) await make('grant_credits', grant);
    await make('open_account', { p_overdraft_limit: overdraft });
    for (const limit of limits) await make('set_limit', limit);
    for (let i = 0; i < before; i += 1)
      await booked(make('deduct_credits', { p_amount: 1, p_idempotency_key: `request ${i}` }));
    if (held > 0)
      await booked(
        make('hold_credits', {
          p_amount: held,
          p_idempotency_key: 'hold',
          p_expires_in: heldFor,
          p_operation: '/search',
        }),
      );
    if (isClosed) await make('close_account', {});
  }
  return pair;
}

const booked = (call: Promise<unknown>) =>
  call.catch((error) => {
    if (!/^PT4/.test(error.code)) throw error;
  });

const deductions = ({ below, pick }: Random) =>
  Array.from({ length: 2 + below(14) }, (_, i) => ({
    amount: pick(1, 1 + below(12), 1 + below(12), 1 + below(12), 0),
    // Some keys are known, and some come twice.
    idempotency_key: pick(`new ${i}`, `new ${i}`, `new ${i}`, `request ${below(16)}`, 'hold'),
    api_key_id: pick(null, 'key a', 'key b'),
    operation: pick(null, '/search', '/other'),
    run_id: pick(null, 'run'),
    metadata: pick({}, { n: i }),
    ...(below(12) === 0
      ? pick<object>({ amount: -1 }, { amount: '1' }, { run_id: '' }, { x: 1 })
      : {}),
  }));

/** What the ledger has of an account: every row but what differs between two accounts. */
const ledgerOf = async (account: string) => {
  // What remains of a head is in the balance: the stored rows of grants differ by when one was up.
  const tables = ['entries', 'remainders', 'idempotency_keys', 'limit_counters', 'usage_counters'];
  const rows = tables.map((table) =>
    db.query(
      `select to_jsonb(t) - 'account_id' - 'statement_entries' as row
       from credits_private.${table} as t where account_id = $1 order by to_jsonb(t)::text`,
      [account],
    ),
  );
  return Promise.all([
    ...rows,
    db.query(
      `select to_jsonb(r) - 'account_id' as row from credits.remaining as r where account_id = $1`,
      [account],
    ),
  ]);
};

const inStatements = async (account: string): Promise<number> =>
  (
    await db.one(
      `select count(*) as n from credits_private.entries
       where account_id = $1 and statement_entries is not null`,
      [account],
    )
  ).n;

test(`what a batch books at once is what its deductions book one by one (seed ${seed})`, async () => {
  const random = randomNumbers(seed);
  const at = moment(start + 1_000_000);
  let atOnce = 0;
  const codes = new Set<string>();
  for (let round = 0; round < 25; round += 1) {
    const [single, many] = await twins(random);
    const items = deductions(random);
    const of = (account_id: string) => items.map((item) => ({ account_id, ...item }));
    const ask = (list: object[]) =>
      db.query('select * from credits_private.deduct_batch($1, false, $2)', [
        JSON.stringify(list),
        at,
      ]);
    const answers = [];
    for (const item of of(single)) answers.push(...(await ask([item])));
    const alike = answers.map((answer, i) => ({
      ...answer,
      deduction: i + 1,
      account_id: many,
      error_detail: answer.error_detail && { ...answer.error_detail, account_id: many },
    }));
    expect(await ask(of(many))).toEqual(alike);
    expect(await ledgerOf(many)).toEqual(await ledgerOf(single));
    const again = await ask(of(many));
    again.forEach((answer, i) => {
      if (!alike[i].error_code) expect(answer).toEqual({ ...alike[i], replayed: true });
    });
    for (const { error_code } of alike) codes.add(error_code);
    atOnce += await inStatements(many);
  }
  expect(atOnce).toBeGreaterThan(50);
  expect([...codes]).toEqual(expect.arrayContaining([null, '22023', 'PT402', 'PT409', 'PT429']));
  expect(await discrepancies(db)).toEqual([]);
}, 120_000);

const item = (account_id: string, idempotency_key: string, amount = 1, more = {}) => ({
  account_id,
  amount,
  idempotency_key,
  ...more,
});

async function opened(amount: number, arguments_: object = {}): Promise<string> {
  const account = unique('account');
  const grant = { p_account_id: account, p_amount: amount, p_idempotency_key: 'grant' };
  await call(db, 'grant_credits', { ...grant, ...arguments_ });
  return account;
}

test('a batch writes one insert for all deductions of an account, and changes each figure once', async () => {
  const account = await opened(1000);
  const client = await db.connect();
  await client.query('begin');
  await batch(
    client,
    Array.from({ length: 500 }, (_, i) => item(account, `r${i}`)),
  );
  const { rows } = await client.query(
    `select relname, n_tup_ins::int as inserted, n_tup_upd::int as updated
     from pg_stat_xact_all_tables
     where schemaname = 'credits_private' and n_tup_ins + n_tup_upd > 0 order by 1`,
  );
  await client.query('commit');
  expect(rows).toEqual([
    { relname: 'accounts', inserted: 0, updated: 2 }, // once more, as the grant becomes the head
    { relname: 'entries', inserted: 500, updated: 0 },
    { relname: 'grants', inserted: 0, updated: 1 },
    { relname: 'usage_counters', inserted: 1, updated: 1 },
  ]);
  expect(await inStatements(account)).toBe(500);
  expect(await discrepancies(db)).toEqual([]);
});

test.each<[string, object, number[], string]>([
  ['a key that comes twice', {}, [1, 1, 1], 'same'],
  ['a scope', { p_operations: ['/search'] }, [1, 1], ''],
  ['a shortage', {}, [60, 60, 40], ''],
  ['a limit', {}, [1, 1], ''],
])(
  'deductions of a batch with %s are written in one statement',
  async (what, grant, amounts, key) => {
    const account = await opened(100, grant);
    if (what === 'a limit')
      await call(db, 'set_limit', { p_account_id: account, p_limit_id: 'l', p_ceiling: 9 });
    await batch(db, [
      ...amounts.map((amount, i) => item(account, key || `${i}`, amount, { operation: '/search' })),
      item(account, 'one more', 0),
      item(account, 'other', amounts.includes(40) ? 1 : 2, { operation: '/search' }),
    ]);
    expect(await inStatements(account)).toBe(amounts.length === 2 ? 3 : 2);
    expect(await discrepancies(db)).toEqual([]);
  },
);

const write = (account: string, rows: object[]) =>
  asOwner(
    db,
    `insert into credits_private.entries
     select e.* from jsonb_array_elements($1) with ordinality as r (value, n),
       jsonb_populate_record(null::credits_private.entries, r.value) as e order by r.n`,
    [
      JSON.stringify(
        rows.map((row, i) => ({
          account_id: account,
          entry_id: i + 2,
          transaction_id: i + 2,
          entry_count: 1,
          kind: 'deduction',
          grant_id: 1,
          amount: -1,
          balance_after: 99 - i,
          period: '2024-05-01',
          effective_at: '2024-05-02T00:00:00Z',
          created_at: '2024-05-02T00:00:00Z',
          idempotency_key: `by hand ${i}`,
          statement_entries: i === 0 ? rows.length : 0,
          ...row,
        })),
      ),
    ],
  );

test.each<[string, object[], string]>([
  ['none says how many', [{ statement_entries: 0 }, {}], 'every_change_has_an_entry'],
  ['one more is said than there are', [{ statement_entries: 3 }, {}], 'every_change_has_an_entry'],
  ['one less is said', [{ statement_entries: 1 }, {}], 'every_change_has_an_entry'],
  ['a balance is not the one before', [{}, { balance_after: 97 }], 'every_change_has_an_entry'],
  ['the first balance is wrong', [{ balance_after: 98 }, {}], 'balance_equals_ledger'],
  ['a moment differs', [{}, { effective_at: '2024-05-01T12:00:00Z' }], 'every_change_has_an_entry'],
  ['one adds', [{}, { amount: 1, balance_after: 100 }], 'every_change_has_an_entry'],
  ['one is no deduction', [{}, { kind: 'refund' }], 'every_change_has_an_entry'],
  ['its grant is not there', [{}, { grant_id: 7 }], 'expired_credit_is_never_spent'],
])('entries that one statement inserts are refused when %s', async (_, rows, invariant) => {
  const account = unique('account');
  await callAt(db, 'grant_credits', moment(start), {
    p_account_id: account,
    p_amount: 100,
    p_idempotency_key: 'grant',
  });
  expect(await raised(write(account, rows))).toMatchObject({
    code: '23514',
    constraint: invariant,
  });
  expect(await discrepancies(db, account)).toEqual([]);
});

test('entries that one statement inserts are refused when they pass a limit or an overdraft', async () => {
  const account = unique('account');
  const of = { p_account_id: account };
  const grant = { ...of, p_amount: 100, p_idempotency_key: 'grant' };
  await callAt(db, 'grant_credits', moment(start), grant);
  await callAt(db, 'open_account', moment(start), { ...of, p_overdraft_limit: 1 });
  expect(await raised(write(account, [{ grant_id: null }, { grant_id: null }]))).toMatchObject({
    constraint: 'available_is_never_negative',
  });
  await callAt(db, 'set_limit', moment(start), { ...of, p_limit_id: 'l', p_ceiling: 2 });
  expect(await raised(write(account, [{}, {}, {}]))).toMatchObject({
    code: '23514',
    constraint: 'limits_are_never_passed',
  });
  await write(account, [{}, {}]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('entries that one statement inserts as a batch does are taken', async () => {
  const account = unique('account');
  await callAt(db, 'grant_credits', moment(start), {
    p_account_id: account,
    p_amount: 100,
    p_idempotency_key: 'grant',
  });
  await write(account, [{}, {}, {}]);
  expect(await discrepancies(db, account)).toEqual([]);
});

test('a batch reads what it needs, however little the statistics know of its account', async () => {
  await db.query(
    `select count(*) from generate_series(1, 2000) as i, credits.grant_credits('sparse ' || i, 1, 'g')`,
  );
  const account = await opened(100_000);
  await db.query(
    'analyze credits_private.accounts, credits_private.entries, credits_private.grants',
  );
  const many = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => item(account, `many ${from + i}`));
  await batch(db, many(0, 3000));
  const client = await db.connect();
  await client.query('begin');
  await batch(client, many(3000, 20));
  const { rows } = await client.query(
    `select sum(seq_tup_read)::int as scanned, sum(idx_tup_fetch)::int as fetched
     from pg_stat_xact_all_tables where schemaname = 'credits_private'`,
  );
  await client.query('commit');
  expect(rows[0].scanned).toBeLessThan(100);
  expect(rows[0].fetched).toBeLessThan(1000);
});

test('a key of a call that left no entry is refused in a batch, and the others are booked', async () => {
  const account = await opened(100);
  await call(db, 'hold_credits', { p_account_id: account, p_amount: 1, p_idempotency_key: 'hold' });
  const answers = await batch(db, [item(account, 'hold'), item(account, 'new')]);
  expect(answers.map(({ error_code }) => error_code)).toEqual(['PT409', null]);
  expect(await batch(db, [item(account, 'a'), item(account, 'b')])).toMatchObject([
    { error_code: null },
    { error_code: null },
  ]);
  expect(await inStatements(account)).toBe(2);
  expect(await discrepancies(db, account)).toEqual([]);
});
