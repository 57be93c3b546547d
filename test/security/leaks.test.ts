import type pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { callOf, routinesOf } from './routines.ts';
import { login } from './sessions.ts';

// What a role that has credits_spender, and nothing else, can learn. It is trusted with every
// account that it can name (deduct_credits asks for no proof), and can list none.
//
// Of an account that it names: that it exists (PT404), or is closed and since when (PT423); what is
// available, also by operation; its balance, after a call; the numbers of its entries and holds,
// and so how many; of a limit that stops it, its name, scope, ceiling and what is spent and
// reserved (PT429); of an open hold, its amount and end (extend_hold), and of one that has ended,
// how and when (PT410). It can also capture, release and extend the holds of others; where a limit
// stops the capture, it learns the API key or run that the hold is for, where credits do, the
// operation (PT402). Of an idempotency key that it guesses: whether it was used, and the
// transaction (PT409); and with the very arguments, the answer, so that it can tell a right guess
// of an API key from a wrong one. That somebody's transaction is at work on an account: its own
// call waits. As every role of the database: the text of our functions and views, the sizes and row
// counts of our tables, and how many rows its own calls touched (pg_proc, pg_class,
// pg_stat_xact_user_tables).
//
// Not: accounts that it cannot name; metadata; entries, with their API keys, runs, operations and
// times; idempotency keys; grants, with their source and price; unit, zone, invoices, usage.
const db = useDatabase();
let spender: pg.Client;

beforeAll(async () => {
  const calls = [
    `open_account('acme', 'h1dden', p_metadata => '{"h1dden": "h1dden"}')`,
    `grant_credits('acme', 500, 'h1dden grant', 'h1dden', p_paid_amount => 9,
       p_paid_currency => 'h1dden', p_metadata => '{"h1dden": 1}')`,
    `grant_credits('acme', 50, 'h1dden scoped', p_operations => '{h1dden}')`,
    `deduct_credits('acme', 7, 'h1dden deduction', 'h1dden key', 'h1dden', 'h1dden run',
       '{"h1dden": 2}')`,
    `deduct_credits('acme', 20, 'request 1', 'key_1', '/run')`,
    `hold_credits('acme', 30, 'h1dden hold', '2 days', 'h1dden key', 'h1dden', 'h1dden run',
       '{"h1dden": 3}')`,
    `hold_credits('acme', 10, 'h1dden hold 2')`,
    `release_hold('acme', 2, 'h1dden release')`,
    `set_limit('acme', 'monthly', 600)`,
    `grant_credits('h1dden account', 5, 'h1dden')`,
    `open_account('closed')`,
    `close_account('closed')`,
  ];
  for (const call of calls) await db.query(`select credits.${call}`);
  await db.query('analyze');
  await (await db.connect()).query(`select 'h1dden statement'`); // stays in pg_stat_activity
  spender = await login(db, 'credits_spender');
});

const one = async (call: string) => (await spender.query(`select * from credits.${call}`)).rows[0];
const refusal = (call: string) => raised(spender.query(`select credits.${call}`));

/** Everything that a call says, to a client that listens to all of it. */
async function said(client: pg.Client, statement: string): Promise<string> {
  const notices: unknown[] = [];
  const listen = (notice: unknown) => notices.push(notice);
  client.on('notice', listen);
  const answer = await client.query(`begin; ${statement}`).then(
    (results) => (results as unknown as pg.QueryResult[]).map(({ rows }) => rows),
    (error) => [error, error.message, error.where],
  );
  await client.query('rollback');
  client.off('notice', listen);
  return JSON.stringify([answer, notices]);
}

describe.each(['credits_spender', 'credits_granter', undefined])('%s', (role) => {
  test('is told nothing by any call that it did not know', async () => {
    const client = await login(db, role);
    const calls = (await routinesOf(db, 'credits')).map(callOf);
    for (const text of [`'nobody'`, `'closed'`])
      calls.push(...calls.map((c) => c.replace(`'acme'`, text)));
    const most = '9007199254740991';
    calls.push(
      `select credits.deduct_credits('acme', ${most}, 'a')`,
      `select credits.deduct_credits('acme', 540, 'b')`,
      `select credits.deduct_credits('acme', 1, 'request 1')`,
      `select credits.deduct_credits_batch('[{"account_id": "acme", "amount": ${most}, "idempotency_key": "c"}, {"account_id": "acme", "amount": 1, "idempotency_key": "d"}]')`,
      `select credits.hold_credits('acme', ${most}, 'e')`,
      `select credits.hold_credits('acme', 540, 'e')`,
      `select credits.extend_hold('acme', 1, '9 years')`,
      `select credits.capture_hold('acme', 1, 1, 'f', false)`,
      `select credits.capture_hold('acme', 2, 1, 'h')`,
      `select credits.release_hold('acme', 1, 'i')`,
      `select credits.refund_credits('acme', 3, 'j')`,
      `select credits.refund_credits('acme', 1, 'k')`,
      `select credits.revoke_grant('acme', 1, 'l', 600, 'debt')`,
      `select credits.set_limit('acme', 'monthly', 1)`,
      `select credits.forget_account('acme')`,
      `select credits.settle_due()`,
    );
    await client.query('set client_min_messages = debug1');
    for (const call of calls) expect(await said(client, call), call).not.toContain('h1dden');
  });
});

/** The catalogues and views that show this session something with the mark. */
async function found(client: pg.Client, sources: string[]): Promise<string[]> {
  const names: string[] = [];
  for (const name of sources) {
    // The mark is a parameter, so that our own statement does not have it.
    const look = `select from ${name} as t where strpos(t::text, $1) > 0`;
    const rows = await client.query(look, ['h1dden']).then(
      (result) => result.rowCount ?? 0,
      (error) => {
        if (error.code !== '42501') throw error;
        return 0;
      },
    );
    if (rows > 0) names.push(name);
  }
  return names;
}

test('in what Postgres shows of itself, it finds nothing of ours', async () => {
  const sources = await db.query(`select oid::regclass::text as name from pg_class
    where relnamespace::regnamespace::text in ('pg_catalog', 'information_schema')
      and relkind in ('r', 'v') order by 1`);
  expect(sources.length).toBeGreaterThan(150);
  const names = sources.map(({ name }) => name);
  expect(await found(spender, names)).toEqual([]);
  const hidden = ['pg_stat_activity', 'pg_statistic', 'pg_stats'];
  expect(await found(await db.connect(), hidden)).toEqual(hidden); // it is there for a superuser
});

test('whether an account exists, is closed, and what it has', async () => {
  expect(await refusal(`available_for('nobody')`)).toMatchObject({ code: 'PT404' });
  expect(await one(`available_for('acme')`)).toEqual({ available_for: '480' });
  expect(await one(`available_for('acme', 'h1dden')`)).toEqual({ available_for: '493' });
  expect((await refusal(`deduct_credits('closed', 1, 'a')`)).detail).toEqual({
    account_id: 'closed',
    closed_at: expect.any(String),
  });
  const { code, detail } = await refusal(`deduct_credits('acme', 500, 'a')`);
  expect([code, detail.available]).toEqual(['PT402', 480]);
});

test('how many entries and holds it has had, and its balance', async () => {
  await spender.query('begin');
  const hold = await one(`hold_credits('acme', 1, 'a')`);
  const deduction = await one(`deduct_credits('acme', 1, 'b')`);
  await spender.query('rollback');
  expect(hold).toMatchObject({ hold_id: '3', balance: '523' });
  expect(deduction).toMatchObject({ transaction_id: '5', balance: '522', available: '478' });
});

test('of a limit that stops it, all figures', async () => {
  const { code, detail } = await refusal(`deduct_credits('acme', 9007199254740991, 'a')`);
  expect(code).toBe('PT429');
  expect(detail).toEqual({
    account_id: 'acme',
    limit_id: 'monthly',
    scope: 'account',
    window: 'period',
    ceiling: 600,
    overage: 0,
    spent: 27,
    reserved: 30,
    remaining: 543,
    requested: 9007199254740991,
    retry_at: expect.any(String),
    invariant: 'limits_are_never_passed',
  });
});

test('of a hold, its amount, end and state, and what it is for when its capture is stopped', async () => {
  expect(await one(`extend_hold('acme', 1, '1 microsecond')`)).toMatchObject({
    amount: '30',
    expires_at: expect.any(Date),
  });
  expect((await refusal(`release_hold('acme', 2, 'a')`)).detail).toMatchObject({
    state: 'released',
    resolved_at: expect.any(String),
  });
  const capture = `capture_hold('acme', 1, 540, 'a')`;
  expect((await refusal(capture)).detail).toMatchObject({ operation: 'h1dden', available: 523 });
  await db.query(`select credits.set_limit('acme', 'each key', 100, 'api_key')`);
  expect((await refusal(capture)).detail).toMatchObject({ scope_id: 'h1dden key' });
  await db.query(`select credits.remove_limit('acme', 'each key')`);
});

test('of a key that it guesses, whether it was used, and with the arguments the answer', async () => {
  const most = 9007199254740991;
  const ask = (args: string) =>
    spender.query(`select * from credits.deduct_credits('acme', ${args})`);
  expect(await raised(ask(`${most}, 'never used'`))).toMatchObject({ code: 'PT429' });
  expect(await raised(ask(`${most}, 'request 1'`))).toMatchObject({
    code: 'PT409',
    detail: { transaction_id: 4 },
  });
  expect(await raised(ask(`20, 'request 1', 'key_2', '/run'`))).toMatchObject({ code: 'PT409' });
  const { rows } = await ask(`20, 'request 1', 'key_1', '/run'`);
  expect(rows).toMatchObject([{ transaction_id: '4', amount: '20', replayed: true }]);
});

test('that somebody is at work on an account: its call waits for them, and for nobody else', async () => {
  const other = await db.connect();
  await other.query(`begin; select credits.settle_account('acme')`);
  await other.query(`select credits.hold_credits('acme', 1, 'at work')`);
  await spender.query(`set lock_timeout = '20ms'`);
  const error = await spender
    .query(`select credits.deduct_credits('acme', 1, 'a')`)
    .catch((e) => e);
  expect(error).toMatchObject({ code: '55P03', detail: undefined });
  expect(error.where).toMatch(/^while locking tuple \(\d+,\d+\) in relation "accounts"\n/);
  expect(await refusal(`deduct_credits('closed', 1, 'a')`)).toMatchObject({ code: 'PT423' });
  await spender.query('reset lock_timeout');
  await other.query('rollback');
});

test('the text of our functions, the sizes of our tables, the rows that its calls touched', async () => {
  const { rows } = await spender.query(`
    select (select count(*)::int from pg_proc where prosrc like '%credits_private.accounts%') > 9 as text,
      (select reltuples::int from pg_class where relname = 'accounts' and relkind = 'r') as accounts`);
  expect(rows).toEqual([{ text: true, accounts: 3 }]);
  await spender.query('begin');
  await one(`available_for('acme')`);
  const touched = await spender.query(`select seq_tup_read + idx_tup_fetch >= 2 as both
    from pg_stat_xact_user_tables where relname = 'grants'`);
  await spender.query('rollback');
  expect(touched.rows).toEqual([{ both: true }]);
});

test('what a spender may not use is refused by name, and tells nothing', async () => {
  for (const what of ['remaining', 'entries', 'grants', 'invoice', 'transactions'])
    expect(await raised(spender.query(`explain select from credits.${what}`))).toMatchObject({
      code: '42501',
      detail: undefined,
    });
});

// What is less plain of a role with credits_granter: it can also take, stop and erase, on any
// account and for good, take one further into debt than its overdraft goes, and it learns the unit,
// and what a transaction took. Spend, hold and read it cannot (matrix.test.ts).
test('a granter can take, stop and erase, for good', async () => {
  const granter = await login(db, 'credits_granter');
  const ask = async (call: string) =>
    (await granter.query(`select * from credits.${call}`)).rows[0];
  const refused = (call: string) => raised(granter.query(`select credits.${call}`));
  await granter.query('begin');
  expect(await ask(`refund_credits('acme', 4, 'a')`)).toMatchObject({ amount: '20' });
  expect(await ask(`revoke_grant('acme', 2, 'b', null, 'debt')`)).toMatchObject({ amount: '50' });
  expect(await ask(`set_limit('acme', 'stop', 0)`)).toMatchObject({ ceiling: '0' });
  expect(await ask(`forget_account('acme')`)).toMatchObject({ account_id: 'acme' });
  await ask(`close_account('acme')`);
  expect(await refused(`grant_credits('acme', 1, 'c')`)).toMatchObject({ code: 'PT423' });
  await granter.query('rollback');
  const unit = await refused(`open_account('acme', 'other')`);
  expect(unit).toMatchObject({ code: 'PT409', detail: { unit: 'h1dden', entries: 4 } });
});
