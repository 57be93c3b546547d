import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { expectNoDiscrepancies, ledger, retried, times } from '../../concurrency/race.ts';
import type { Database } from '../../support/database.ts';
import {
  adopt,
  createApp,
  failures,
  figures,
  insert,
  install,
  mappingText,
  mirrored,
  write,
} from './app.ts';

let db: Database;
beforeAll(async () => {
  db = await createApp(20);
  await install(db);
});
afterAll(async () => {
  try {
    expect(await failures(db)).toEqual([]);
    await expectNoDiscrepancies(db);
  } finally {
    await db.drop();
  }
});

/** Each test has users of its own, who are adopted. */
let used = 0;
async function user(): Promise<string> {
  used += 1;
  await adopt(db, `u${used}`);
  return `u${used}`;
}

const agree = async (account: string, balance: number) =>
  expect(await figures(db, account)).toEqual({ ours: balance, theirs: balance });

test('a write to an adopted account is in the ledger, with what the mapping says of it', async () => {
  const u = await user();
  const before = await mirrored(db);
  await db.query(
    `insert into public.credit_transactions (id, user_id, amount, kind, api_key_id)
     overriding system value values (1000, $1, -40, 'usage', 'key 1'), (1001, $1, 7, 'refund', null)`,
    [u],
  );
  await agree(u, 937);
  const rows = await db.query(
    `select kind, amount, api_key_id, idempotency_key from credits.transactions
     where account_id = $1 and idempotency_key like 'legacy%' order by transaction_id`,
    [u],
  );
  expect(rows).toEqual([
    { kind: 'deduction', amount: -40, api_key_id: 'key 1', idempotency_key: 'legacy 1000' },
    { kind: 'grant', amount: 7, api_key_id: null, idempotency_key: 'legacy 1001' },
  ]);
  expect((await mirrored(db)) - before).toBe(2);
});

test('a debit beyond the balance goes into debt, and leaves no overdraft behind', async () => {
  const u = await user();
  await write(db, u, -1000);
  await agree(u, -30);
  const { debt, overdraft_limit } = await db.one(
    'select debt, overdraft_limit from credits.remaining where account_id = $1',
    [u],
  );
  expect([debt, overdraft_limit]).toEqual([30, 0]);
  await write(db, u, 100);
  await agree(u, 70);
});

test('a write to an account that is not adopted waits for adopt, and is in the ledger once', async () => {
  await write(db, 'u20', -10);
  expect(await ledger(db, 'u20')).toEqual([]);
  await adopt(db, 'u20');
  expect(await ledger(db, 'u20')).toEqual(['grant 960']);
  await write(db, 'u20', -10);
  expect(await ledger(db, 'u20')).toEqual(['grant 960', 'deduction -10']);
  await agree('u20', 950);
});

test("a mirrored transaction commits and rolls back with the app's write, in savepoints too", async () => {
  const u = await user();
  const app = await db.connect();
  await app.query('begin');
  await write(app, u, -1);
  await app.query('savepoint s');
  await write(app, u, -2);
  await app.query('rollback to savepoint s');
  await write(app, u, -4);
  await app.query('commit; begin');
  await write(app, u, -8);
  await app.query('rollback');
  expect(await ledger(db, u)).toEqual(['grant 970', 'deduction -1', 'deduction -4']);
});

test('an update or a delete is a correction of its own, and one that changes no figure is none', async () => {
  const u = await user();
  const set = (what: string) =>
    db.query(`update public.credit_transactions set ${what} where user_id = $1 and amount = -25`, [
      u,
    ]);
  const remove = (amount: number) =>
    db.query('delete from public.credit_transactions where user_id = $1 and amount = $2', [
      u,
      amount,
    ]);
  await set(`note = 'seen', kind = 'call'`);
  expect(await ledger(db, u)).toEqual(['grant 970']);
  await set('amount = -20');
  await agree(u, 975);
  await remove(-5);
  await agree(u, 980);
  await remove(1000);
  await agree(u, -20);
  const keys = await db.query(
    `select idempotency_key as key from credits.transactions where account_id = $1
     and kind <> 'repay' order by transaction_id`,
    [u],
  );
  expect(keys.map(({ key }) => key)).toEqual([
    'adoption opening',
    expect.stringMatching(/^legacy \d+ at entry 2$/),
    expect.stringMatching(/^legacy \d+ at entry 3$/),
    expect.stringMatching(/^legacy \d+ at entry 4$/),
  ]);
});

test('what is deleted and inserted again counts again, as often as that is done', async () => {
  const u = await user();
  for (const _ of times(3, Number)) {
    await db.query(
      `insert into public.credit_transactions (id, user_id, amount) overriding system value values (1900, $1, -9)`,
      [u],
    );
    await agree(u, 961);
    await db.query('delete from public.credit_transactions where id = 1900');
    await agree(u, 970);
  }
});

test('a transaction that moves to another account moves in the ledger, as far as that is adopted', async () => {
  const [from, to] = [await user(), await user()];
  const move = (from: string, to: string) =>
    db.query(
      `update public.credit_transactions set user_id = $2 where user_id = $1 and amount = -25
       and id = (select min(id) from public.credit_transactions where user_id = $1 and amount = -25)`,
      [from, to],
    );
  await move(from, to);
  await agree(from, 995);
  await agree(to, 945);
  await move(to, 'u19');
  expect(await ledger(db, 'u19')).toEqual([]);
  await adopt(db, 'u19');
  await agree('u19', 945);
});

test('inserts of many rows, with on conflict do update and by copy are mirrored', async () => {
  const u = await user();
  await db.query(
    'insert into public.credit_transactions (user_id, amount) select $1, -n from generate_series(1, 20) as n',
    [u],
  );
  await agree(u, 760);
  const upsert = `insert into public.credit_transactions (id, user_id, amount) overriding system value
    values (1300, $1, -3) on conflict (id) do update set amount = public.credit_transactions.amount + excluded.amount`;
  for (const _ of times(3, Number)) await db.query(upsert, [u]);
  await agree(u, 751);
  const app = await db.connect();
  const data = `${u}\t-1\n${u}\t-50\n`;
  await copyIn(app, 'copy public.credit_transactions (user_id, amount) from stdin', data);
  await agree(u, 700);
});

const copyIn = (client: pg.Client, text: string, data: string) =>
  new Promise<void>((resolve, reject) => {
    client.query({
      submit: (connection: pg.Connection) => connection.query(text),
      handleCopyInResponse(connection: Copying) {
        connection.sendCopyFromChunk(Buffer.from(data));
        connection.endCopyFrom();
      },
      handleError: reject,
      handleReadyForQuery: resolve,
      handleCommandComplete() {},
    } as pg.Submittable);
  });
interface Copying {
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

test('the write of a role that may insert and nothing else is mirrored', async () => {
  const u = await user();
  const role = `${db.rolePrefix}app_writer`;
  await db.query(`create role ${role}; grant insert on public.credit_transactions to ${role}`);
  const app = await db.connect();
  await app.query(`set role ${role}`);
  await insert(app, u, -6);
  await agree(u, 964);
});

test.each(['repeatable read', 'serializable'])('a write at %s is mirrored', async (level) => {
  const u = await user();
  const app = await db.connect();
  const { tries } = await retried(level, async (client) => write(client, u, -6))(app);
  expect(tries).toBe(1);
  await agree(u, 964);
});

test("the mapping's where decides which rows count: one that comes to count is a transaction", async () => {
  const u = await user();
  const where = mappingText.replace('  kind: kind\n', "  kind: kind\n  where: kind <> 'pending'\n");
  await install(db, parseMapping(where));
  const set = (kind: string) =>
    db.query('update public.credit_transactions set kind = $1 where id = 1200', [kind]);
  await db.query(
    `insert into public.credit_transactions (id, user_id, amount, kind) overriding system value
     values (1200, $1, 50, 'pending')`,
    [u],
  );
  expect(await ledger(db, u)).toEqual(['grant 970']);
  await set('purchase');
  expect(await ledger(db, u)).toEqual(['grant 970', 'grant 50']);
  const { idempotency_key } = await db.one(
    'select idempotency_key from credits.transactions where account_id = $1 and amount = 50',
    [u],
  );
  expect(idempotency_key).toBe('legacy 1200');
  await set('pending');
  expect(await ledger(db, u)).toEqual(['grant 970', 'grant 50', 'deduction -50']);
});

test('writes to a partitioned table are mirrored, where a row that moves is deleted and inserted', async () => {
  const u = await user();
  await db.query(
    `create table public.parts (id bigint, user_id text, amount bigint, month int, created_at timestamptz default now())
       partition by list (month);
     create table public.parts_1 partition of public.parts for values in (1);
     create table public.parts_2 (created_at timestamptz default now(), month int, amount bigint, user_id text, id bigint);
     alter table public.parts attach partition public.parts_2 for values in (2);
     drop trigger _900_pg_credits_shadow on public.credit_transactions`,
  );
  const parts = mappingText
    .replace('public.credit_transactions', 'public.parts')
    .replace('  kind: kind\n  api_key_id: api_key_id\n', '');
  await install(db, parseMapping(parts));
  const balance = async () => (await figures(db, u)).ours;
  await db.query(`insert into public.parts values (1, $1, -10, 1), (2, $1, -20, 2)`, [u]);
  expect(await balance()).toBe(940);
  await db.query('update public.parts set month = 3 - month');
  expect(await balance()).toBe(940);
  await db.query('insert into public.parts_2 (id, user_id, amount, month) values (3, $1, -5, 2)', [
    u,
  ]);
  await db.query('delete from public.parts_1');
  expect(await balance()).toBe(955);
});
