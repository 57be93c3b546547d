import { beforeAll, expect, test } from 'vitest';
import { call } from '../../support/calls.ts';
import { asRole, raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { asOwner } from '../../support/ledger.ts';

// Nobody can delete an account, and forget_account alone erases the person behind it:
// only what it empties and replaces may be emptied or replaced by hand.
const db = useDatabase();

beforeAll(async () => {
  const spending = { p_account_id: 'acme', p_api_key_id: 'key', p_run_id: 'run' };
  const metadata = { p_metadata: { name: 'ada' } };
  const grant = { p_account_id: 'acme', p_amount: 9, p_idempotency_key: 'grant' };
  await call(db, 'grant_credits', grant);
  const deduct = { ...spending, ...metadata, p_amount: 2, p_idempotency_key: 'deduct' };
  await call(db, 'deduct_credits', deduct);
  await call(db, 'deduct_credits', { ...grant, p_amount: 1, p_idempotency_key: 'no key' });
  await call(db, 'hold_credits', { ...deduct, p_idempotency_key: 'hold' });
  const limit = { p_account_id: 'acme', p_limit_id: 'limit', p_ceiling: 5 };
  await call(db, 'set_limit', { ...limit, p_scope: 'run', p_scope_id: 'run' });
  await call(db, 'open_account', { p_account_id: 'empty' });
});

test.each([
  ['entries', 'api_key_id', `'other'`, 'entries_are_immutable'],
  ['entries', 'api_key_id', 'null', 'entries_are_immutable'],
  ['entries', 'run_id', `'other'`, 'entries_are_immutable'],
  ['entries', 'metadata', `'{"name": "bob"}'`, 'entries_are_immutable'],
  ['holds', 'api_key_id', `'other'`, 'held_equals_open_holds'],
  ['holds', 'run_id', 'null', 'held_equals_open_holds'],
  ['holds', 'metadata', `'{"name": "bob"}'`, 'held_equals_open_holds'],
  ['usage_counters', 'api_key_id', `'other'`, 'counters_change_only_with_the_ledger'],
  ['limit_counters', 'scope_id', `'other'`, 'counters_change_only_with_the_ledger'],
])(
  'a change of %s by hand that is no pseudonym is refused with 23514: %s = %s',
  async (table, column, value, constraint) => {
    const where = `where ${column}::text like '%run%' or ${column}::text in ('key', '{"name": "ada"}')`;
    const update = `update credits_private.${table} set ${column} = ${value} ${where}`;
    for (const attempt of [() => db.query(update), () => asOwner(db, update)]) {
      expect(await raised(attempt())).toMatchObject({
        code: '23514',
        constraint,
        detail: { table, column, change: 'update', invariant: constraint },
      });
    }
  },
);

test('a pseudonym by hand where no id was is refused with 23514', async () => {
  for (const [column, id] of [
    ['api_key_id', 'forgotten api key 1'],
    ['run_id', 'forgotten run 1'],
  ]) {
    const update = `update credits_private.entries set ${column} = $1 where entry_id = 3`;
    expect(await raised(db.query(update, [id]))).toMatchObject({
      code: '23514',
      constraint: 'entries_are_immutable',
    });
  }
});

test.each([
  ['of an account that has spent', `delete from credits_private.accounts`],
  ['of one that never did', `delete from credits_private.accounts where account_id = 'empty'`],
  ['of all', 'truncate credits_private.accounts cascade'],
])('a deletion %s is refused, to the owner and to a superuser', async (_, statement) => {
  for (const attempt of [() => db.query(statement), () => asOwner(db, statement)]) {
    expect(await raised(attempt())).toMatchObject({ code: '23514' });
  }
  const accounts = 'select account_id from credits.remaining order by 1';
  expect(await db.query(accounts)).toEqual([{ account_id: 'acme' }, { account_id: 'empty' }]);
});

test('no role of ours can delete an account', async () => {
  for (const role of ['credits_spender', 'credits_granter', 'credits_auditor']) {
    const client = await asRole(db, role);
    const error = await raised(client.query('delete from credits_private.accounts'));
    expect(error).toMatchObject({ code: '42501' });
  }
});

test("an app's rows may refer to an account: they are inserted while it spends, and never orphaned", async () => {
  await db.query(
    `create table public.users (
       user_id int primary key,
       account_id text references credits_private.accounts (account_id) on delete cascade)`,
  );
  const client = await db.connect();
  await client.query('begin');
  const deduct = { p_account_id: 'acme', p_amount: 1, p_idempotency_key: 'in flight' };
  await call(client, 'deduct_credits', deduct);
  await db.query(`insert into public.users values (1, 'acme')`); // waits for nothing
  await client.query('commit');
  const orphan = await raised(db.query(`insert into public.users values (2, 'nobody')`));
  expect(orphan).toMatchObject({ code: '23503' });
  const deletion = await raised(asOwner(db, 'delete from credits_private.accounts'));
  expect(deletion).toMatchObject({ code: '23514', constraint: 'every_change_has_an_entry' });
  await call(db, 'close_account', { p_account_id: 'acme' });
  await call(db, 'forget_account', { p_account_id: 'acme' });
  expect(await db.query('select account_id from public.users')).toEqual([{ account_id: 'acme' }]);
  await db.query('delete from public.users');
  expect(await discrepancies(db)).toEqual([]);
});
