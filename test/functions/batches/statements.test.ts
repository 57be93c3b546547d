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

/** Two equal accounts: some grants, partly held, some with an expiry, perhaps an overdraft. */
async function twins({ below, pick }: Random): Promise<[string, string]> {
  const pair: [string, string] = [unique('one by one'), unique('at once')];
  const grants = Array.from({ length: 1 + below(4) }, (_, i) => ({
    p_amount: 1 + below(90),
    p_idempotency_key: `grant ${i}`,
    p_priority: pick(1, 2),
    p_source: pick('purchase', 'plan'),
    p_expires_at: pick<string | null>(null, '2024-06-01T00:00:00Z', '2024-07-01T00:00:00Z'),
  }));
  const overdraft = pick(0, 0, 25);
  const held = below(10);
  for (const p_account_id of pair) {
    for (const grant of grants)
      await callAt(db, 'grant_credits', moment(start), { p_account_id, ...grant });
    await callAt(db, 'open_account', moment(start), { p_account_id, p_overdraft_limit: overdraft });
    if (held > 0 && grants[0] && grants[0].p_amount > held)
      await callAt(db, 'hold_credits', moment(start), {
        p_account_id,
        p_amount: held,
        p_idempotency_key: 'hold',
        p_expires_in: '3 days',
      });
  }
  return pair;
}

const deductions = ({ below, pick }: Random) =>
  Array.from({ length: 2 + below(12) }, (_, i) => ({
    amount: 1 + below(12),
    idempotency_key: `request ${i}`,
    api_key_id: pick(null, 'key a', 'key b'),
    operation: pick(null, '/search'),
    run_id: pick(null, 'run'),
    metadata: pick({}, { n: i }),
  }));

const ledgerOf = (account: string) =>
  db.query(
    `select to_jsonb(e) - 'account_id' - 'statement_entries' as entry
     from credits_private.entries as e where account_id = $1 order by entry_id`,
    [account],
  );

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
  for (let round = 0; round < 40; round += 1) {
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
    const booked = alike.filter((answer) => !answer.error_code);
    const again = (await ask(of(many))).filter(({ replayed }) => replayed);
    expect(again).toEqual(booked.map((answer) => ({ ...answer, replayed: true })));
    atOnce += await inStatements(many);
  }
  expect(atOnce).toBeGreaterThan(50);
  expect(await discrepancies(db)).toEqual([]);
});

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
    { relname: 'accounts', inserted: 0, updated: 1 },
    { relname: 'entries', inserted: 500, updated: 0 },
    { relname: 'grants', inserted: 0, updated: 1 },
    { relname: 'usage_counters', inserted: 1, updated: 1 },
  ]);
  expect(await inStatements(account)).toBe(500);
  expect(await discrepancies(db)).toEqual([]);
});

test.each([
  ['a key that comes twice', {}, [1, 1], 'same'],
  ['a scope', { p_operations: ['/search'] }, [1, 1], ''],
  ['a shortage', {}, [60, 60], ''],
])('deductions of a batch with %s are booked one by one', async (_, grant, amounts, key) => {
  const account = await opened(100, grant);
  await batch(
    db,
    amounts.map((amount, i) => item(account, key || `${i}`, amount, { operation: '/search' })),
  );
  expect(await inStatements(account)).toBe(0);
  expect(await discrepancies(db)).toEqual([]);
});

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
