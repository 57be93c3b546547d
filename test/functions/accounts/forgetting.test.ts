import { beforeAll, expect, test } from 'vitest';
import { type Arguments, call } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { writeHistory } from '../../support/history.ts';
import { tablesOf } from '../../support/ledger.ts';

const db = useDatabase();
const on = (name: string, args: Arguments) =>
  call(db, name, { p_account_id: 'acme', p_idempotency_key: `${name} of acme`, ...args });
const set = (name: string, args: Arguments) => call(db, name, { p_account_id: 'acme', ...args });
const forget = () => call(db, 'forget_account', { p_account_id: 'acme' });

const ada = { p_api_key_id: 'key of ada', p_run_id: 'run of ada', p_metadata: { for: 'ada' } };
const bob = { p_api_key_id: 'key of bob', p_run_id: 'run of ada', p_operation: 'search' };
const deduct = { p_amount: 5, ...bob, ...ada };

beforeAll(async () => {
  await set('open_account', { p_metadata: { name: 'ada' } });
  await on('grant_credits', { p_amount: 100, p_metadata: { to: 'ada' } });
  await set('set_limit', { p_limit_id: 'keys', p_ceiling: 50, p_scope: 'api_key' });
  const key = { p_scope: 'api_key', p_scope_id: 'key of ada', p_window: 'total' };
  await set('set_limit', { p_limit_id: 'one', p_ceiling: 50, ...key });
  await set('set_limit', { p_limit_id: 'each', p_ceiling: 50, p_scope: 'run', p_window: 'day' });
  await set('set_limit', { p_limit_id: 'never', p_ceiling: 50, p_scope: 'run', p_scope_id: 'ada' });
  await set('set_limit', { p_limit_id: 'all', p_ceiling: 50, p_scope: 'operation' });
  await on('hold_credits', { p_amount: 9, ...ada });
  await on('hold_credits', { p_amount: 4, ...bob, p_idempotency_key: 'hold 2' });
  await on('deduct_credits', { p_amount: 2, ...bob });
  const { transaction_id } = await on('deduct_credits', { ...deduct, p_idempotency_key: 'deduct' });
  const capture = { p_hold_id: 1, p_amount: 3, p_final: false, p_metadata: ada.p_metadata };
  await on('capture_hold', capture);
  const refund = { p_transaction_id: transaction_id, p_amount: 1, p_metadata: ada.p_metadata };
  await on('refund_credits', refund);
  await on('revoke_grant', { p_grant_id: 1, p_amount: 1, p_metadata: ada.p_metadata });
});

/** Everything that names nobody. */
async function figures() {
  const rows = (view: string) =>
    db.query(`select to_jsonb(v) - '{metadata,api_key_id,run_id,scope_id}'::text[] as row
      from credits.${view} as v order by 1`);
  const views = ['remaining', 'invoice', 'invoice_lines', 'usage', 'entries', 'transactions'];
  return Promise.all([...views, 'grants', 'holds', 'limits'].map((view) => rows(view)));
}

const rowsThatName = async (person: string): Promise<string[]> => {
  const found: string[] = [];
  for (const name of await tablesOf(db)) {
    // As a word: a checksum of a file may have ada in its digits.
    const rows = `select t::text from ${name} as t where t::text ~ $1`;
    found.push(
      ...(await db.query(rows, [`\\m(${person})\\M`])).map(() => name.split('.')[1] ?? ''),
    );
  }
  return [...new Set(found)];
};

/** Who spent, in each place that says so. */
const names = async (account = 'acme') => {
  const ids = (select: string) =>
    db.query(select, [account]).then((rows) => rows.map((row) => Object.values(row)));
  return {
    entries: await ids(`select api_key_id, run_id from credits.entries
      where account_id = $1 and kind in ('deduction', 'capture', 'refund') order by entry_id`),
    holds: await ids(
      'select api_key_id, run_id from credits.holds where account_id = $1 order by hold_id',
    ),
    usage: await ids(`select api_key_id, credits_used from credits.usage
      where account_id = $1 order by 2`),
    lines: await ids(`select api_key_id, credits_used from credits.invoice_lines
      where account_id = $1 order by 2`),
    limits: await ids(`select limit_id, scope_id, spent from credits.limits
      where account_id = $1 and scope <> 'operation' order by 1, 2`),
  };
};

// What a limit goes on counting is tested in limits/forgotten.test.ts.
const limits = ['limit_counters', 'limits'];

test('forget_account erases every trace of the person but the ids of limits that are set, and keeps every figure', async () => {
  expect(await rowsThatName('ada')).toEqual([
    'account_metadata',
    'entries',
    'grants',
    'holds',
    'limit_counters',
    'limits',
    'usage_counters',
  ]);
  const before = await figures();
  expect(await forget()).toEqual({ account_id: 'acme', balance: 90, available: 80 });
  expect(await rowsThatName('ada|bob')).toEqual(limits);
  expect(await figures()).toEqual(before);
  expect(await discrepancies(db)).toEqual([]);
});

test('a forgotten id has one pseudonym wherever it stood, numbered in the order of spending', async () => {
  const [key1, key2, run] = ['forgotten api key 1', 'forgotten api key 2', 'forgotten run 1'];
  expect(await names()).toEqual({
    entries: [
      [key1, run], // bob spent first
      [key2, run],
      [key2, run],
      [key2, run],
    ],
    holds: [
      [key2, run],
      [key1, run],
    ],
    usage: [
      [key1, 2],
      [key2, 3],
      [key2, 5],
    ],
    lines: [
      [key1, 2],
      [key2, 3],
      [key2, 5],
    ],
    limits: [
      ['each', 'run of ada', 9],
      ['keys', 'key of ada', 7],
      ['keys', 'key of bob', 2],
      ['never', 'ada', 0],
      ['one', 'key of ada', 7],
    ],
  });
});

test('after forget_account a replay is still answered, and another request with its key still refused', async () => {
  expect(await on('deduct_credits', { ...deduct, p_idempotency_key: 'deduct' })).toMatchObject({
    amount: 5,
    replayed: true,
  });
  expect(await on('hold_credits', { p_amount: 9, ...ada })).toMatchObject({ replayed: true });
  const other = { ...deduct, ...bob, p_idempotency_key: 'deduct' };
  expect(await raised(on('deduct_credits', other))).toMatchObject({ code: 'PT409' });
});

test('forgetting keeps the key of every deduction as a repeat asks for it, and none by itself', async () => {
  const mine = { p_account_id: 'many' };
  for (const n of [1, 2]) {
    const grant = { ...mine, p_amount: 5, p_idempotency_key: `grant ${n}` };
    await call(db, 'grant_credits', grant);
  }
  for (const [n, amount] of [3, 4, 1].entries())
    await call(db, 'deduct_credits', { ...mine, p_amount: amount, p_idempotency_key: `key ${n}` });
  const keys = await db.query(`select k.* from credits.transactions as t
    cross join lateral credits_private.deduction_key(t.account_id, t.idempotency_key) as k
    where t.account_id = 'many' and t.kind = 'deduction' order by k.idempotency_key`);
  expect(keys).toHaveLength(3);
  const client = await db.connect();
  await client.query(`set track_functions = 'all'; begin;
    select * from credits.forget_account('many')`);
  const { rows } = await client.query(`select funcname from pg_stat_xact_user_functions
    where funcname = 'deduction_key'`);
  await client.query('commit');
  expect(rows).toEqual([]);
  const kept = `select transaction_id, available, account_id, idempotency_key, fingerprint, answer
    from credits_private.idempotency_keys
    where account_id = 'many' and idempotency_key like 'key %' order by idempotency_key`;
  expect(await db.query(kept)).toEqual(keys);
});

test('what was begun before forget_account goes on under the pseudonym', async () => {
  const capture = { p_hold_id: 2, p_amount: 4, p_idempotency_key: 'capture 2' };
  await on('capture_hold', capture);
  expect((await names()).entries.at(-1)).toEqual(['forgotten api key 1', 'forgotten run 1']);
  expect(await discrepancies(db)).toEqual([]);
});

test('a repeat of forget_account forgets what came since, and gives no pseudonym to two ids', async () => {
  const before = await names();
  await forget();
  expect(await names()).toEqual(before);
  await on('deduct_credits', { ...deduct, p_amount: 6, p_idempotency_key: 'since' });
  await on('deduct_credits', { p_amount: 1, p_run_id: 'cid', p_idempotency_key: 'since 2' });
  expect(await rowsThatName('ada')).not.toEqual(limits);
  await forget();
  expect(await rowsThatName('ada|cid')).toEqual(limits);
  const after = await names();
  expect(after.entries).toEqual([
    ...before.entries,
    ['forgotten api key 3', 'forgotten run 2'],
    [null, 'forgotten run 3'],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('an id that looks like a pseudonym gets one of its own, and no pseudonym is given twice', async () => {
  const mine = { p_account_id: 'gone' };
  const spend = (id: string) =>
    call(db, 'deduct_credits', { ...mine, p_amount: 1, p_idempotency_key: id, p_run_id: id });
  await call(db, 'grant_credits', { ...mine, p_amount: 9, p_idempotency_key: 'grant' });
  await spend('forgotten run 4');
  await spend('erin');
  await call(db, 'forget_account', mine);
  await spend('fred');
  await spend('forgotten by all');
  await call(db, 'forget_account', mine);
  const runs = (await names('gone')).entries.map(([, id]) => id);
  expect(runs).toEqual(['4', '5', '6', '7'].map((n) => `forgotten run ${n}`));
  expect(await discrepancies(db)).toEqual([]);
});

test('any history, of an open or closed account, is the same after forget_account but for the names', async () => {
  for (const seed of [31, 32]) await writeHistory(db, `history ${seed}`, seed);
  await call(db, 'close_account', { p_account_id: 'history 32' });
  await call(db, 'settle_account', { p_account_id: 'history 31' });
  const before = await figures();
  for (const seed of [31, 32]) {
    await call(db, 'forget_account', { p_account_id: `history ${seed}` });
  }
  expect(await figures()).toEqual(before);
  expect(await discrepancies(db)).toEqual([]);
});
