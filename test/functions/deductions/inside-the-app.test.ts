import { beforeAll, expect, test } from 'vitest';
import { call } from '../../support/calls.ts';
import { asRole, raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';

// An app's own tables, in the same database and the same transactions.
const db = useDatabase();

beforeAll(async () => {
  const granted = { p_account_id: 'acme', p_amount: 10, p_idempotency_key: 'grant' };
  await call(db, 'grant_credits', granted);
  await db.query(`
    create schema app;
    create table app.searches (
      search_id int primary key, account_id text, words text, transaction_id bigint);
    create function app.charge() returns trigger language plpgsql as $$
    begin
      select d.transaction_id into new.transaction_id
      from credits.deduct_credits(new.account_id, 3, 'search ' || new.search_id,
        p_operation => 'search') as d;
      return new;
    end
    $$;
    create trigger charge before insert on app.searches
      for each row execute function app.charge();

    create table app.refused (search_id int references app.searches);
    create function app.give_back() returns trigger language plpgsql as $$
    begin
      perform credits.refund_credits(s.account_id, s.transaction_id, 'refund ' || s.search_id)
      from app.searches s where s.search_id = new.search_id;
      return null;
    end
    $$;
    create trigger give_back after insert on app.refused
      for each row execute function app.give_back();
  `);
});

const search = (id: number) =>
  db.query(`insert into app.searches values ($1, 'acme', 'words') returning transaction_id`, [id]);
const balance = async () =>
  (await db.one(`select balance from credits.remaining where account_id = 'acme'`)).balance;

test("an app's own trigger can deduct, and gets the transaction's number", async () => {
  expect(await search(1)).toEqual([{ transaction_id: 2 }]);
  expect(await balance()).toBe(7);
});

test("several rows that one statement inserts under the app's trigger are several deductions", async () => {
  await db.query(`insert into app.searches values (2, 'acme', 'a'), (3, 'acme', 'b')`);
  expect(await balance()).toBe(1);
});

test("a shortage in the app's trigger keeps the app's own row from being written", async () => {
  expect(await raised(search(4))).toMatchObject({ code: 'PT402', detail: { available: 1 } });
  expect(await db.query('select * from app.searches where search_id = 4')).toEqual([]);
});

test("an app's own trigger can refund", async () => {
  await db.query('insert into app.refused values (1), (3)');
  expect(await balance()).toBe(7);
  expect(await discrepancies(db)).toEqual([]);
});

test("the app's rows and its credits commit together, or not at all", async () => {
  const client = await db.connect();
  await client.query('begin');
  await client.query(`insert into app.searches values (5, 'acme', 'undone')`);
  await client.query('rollback');
  expect(await balance()).toBe(7);
  expect(await search(5)).toHaveLength(1);
  expect(await balance()).toBe(4);
});

test('a shortage within a savepoint leaves the rest of the transaction as it is', async () => {
  const client = await db.connect();
  await client.query('begin');
  await client.query(`insert into app.searches values (6, 'acme', 'kept')`);
  await client.query('savepoint attempt');
  const insert = client.query(`insert into app.searches values (7, 'acme', 'short')`);
  expect(await raised(insert)).toMatchObject({ code: 'PT402', detail: { available: 1 } });
  await client.query('rollback to savepoint attempt; commit');
  expect(await db.query('select search_id from app.searches where search_id > 5')).toEqual([
    { search_id: 6 },
  ]);
  expect(await balance()).toBe(1);
  expect(await discrepancies(db)).toEqual([]);
});

test('a run of the app holds, captures and ends in its own trigger, or leaves nothing', async () => {
  await db.query(`
    create table app.runs (run_id int primary key, hold_id bigint, cost int);
    create function app.hold() returns trigger language plpgsql as $$
    begin
      select h.hold_id into new.hold_id
      from credits.hold_credits('runs', 50, 'run ' || new.run_id, p_run_id => new.run_id::text) h;
      return new;
    end
    $$;
    create trigger hold before insert on app.runs for each row execute function app.hold();
    create function app.capture() returns trigger language plpgsql as $$
    begin
      perform credits.capture_hold('runs', new.hold_id, new.cost, 'cost ' || new.run_id);
      return null;
    end
    $$;
    create trigger capture after update of cost on app.runs
      for each row execute function app.capture()`);
  await db.query(`select credits.grant_credits('runs', 100, 'grant')`);
  await db.query('insert into app.runs values (1), (2)');
  expect(await raised(db.query('insert into app.runs values (3)'))).toMatchObject({
    code: 'PT402',
    detail: { available: 0 },
  });
  const client = await db.connect();
  await client.query('begin; update app.runs set cost = 20 where run_id = 1; rollback');
  await db.query('update app.runs set cost = 7 where run_id = 1');
  const failed = db.query('update app.runs set cost = 8 where run_id = 1');
  expect(await raised(failed)).toMatchObject({ code: 'PT409', detail: { transaction_id: 2 } });
  expect(await db.query('select run_id, hold_id, cost from app.runs order by run_id')).toEqual([
    { run_id: 1, hold_id: 1, cost: 7 },
    { run_id: 2, hold_id: 2, cost: null },
  ]);
  expect(
    await db.one(
      `select balance, held, available from credits.remaining where account_id = 'runs'`,
    ),
  ).toEqual({ balance: 93, held: 50, available: 43 });
  expect(await discrepancies(db)).toEqual([]);
});

test('a batch can be made of the rows that a statement of the app selects', async () => {
  await db.query(`select credits.grant_credits('batched', 10, 'grant')`);
  const answers = await db.query(
    `select b.balance, b.error_code
     from (
       select jsonb_agg(jsonb_build_object('account_id', 'batched', 'amount', s.search_id,
         'idempotency_key', s.search_id::text) order by s.search_id) as deductions
       from app.searches as s where s.search_id in (1, 5, 6)
     ) as d, credits.deduct_credits_batch(d.deductions) as b`,
  );
  expect(answers).toEqual([
    { balance: 9, error_code: null },
    { balance: 4, error_code: null },
    { balance: null, error_code: 'PT402' },
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a role that may spend writes to the ledger by the function alone', async () => {
  const spender = await asRole(db, 'credits_spender');
  const args = { p_account_id: 'acme', p_amount: 1, p_idempotency_key: 'spent' };
  expect(await call(spender, 'deduct_credits', args)).toMatchObject({ balance: 0 });
  for (const statement of [
    'select * from credits_private.accounts',
    'select * from credits.remaining',
    `select credits.grant_credits('acme', 1, 'k')`,
    `select credits_private.deduct_credits_at('acme', 1, 'k', null, null, null, '{}', now())`,
  ]) {
    expect(await raised(spender.query(statement))).toMatchObject({ code: '42501' });
  }
  expect(await discrepancies(db)).toEqual([]);
});
