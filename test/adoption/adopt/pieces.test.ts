import { afterEach, beforeEach, expect, test } from 'vitest';
import { plan } from '../../../scripts/adoption/adopt/run.ts';
import { readParties } from '../../../scripts/adoption/app/parties.ts';
import { compare } from '../../../scripts/adoption/compare/compare.ts';
import { installShadow } from '../../../scripts/adoption/shadow/install.ts';
import { verify } from '../../../scripts/verify/examine.ts';
import { pid } from '../../concurrency/race.ts';
import { type Database, waitUntilBlocked } from '../../support/database.ts';
import { balanceOf } from '../../support/ledger.ts';
import { seedOf } from '../../support/random.ts';
import { us } from '../../support/time.ts';
import {
  type Account,
  addTransactions,
  adoptAll,
  appWith,
  mappingWith,
  totalOf,
  wholeLedger,
} from '../app.ts';
import { randomHistory } from '../history.ts';

const choice = { book: 'history', trust: 'transactions' } as const;
const seed = seedOf(5);
const account = (id: number, length: number): Account => {
  const history = randomHistory(seed + id, length);
  return { id, zone: 'Europe/Berlin', history, balance: totalOf(history) };
};
const accounts = [account(1, 40), account(2, 3), account(3, 25)];

let db: Database;
beforeEach(async () => {
  db = await appWith(accounts);
});
afterEach(() => db.drop());

/** The ledger after a run that adopts each account in one transaction. */
async function wholeAtOnce() {
  const other = await appWith(accounts);
  const since = Date.now();
  await adoptAll(other, choice);
  return wholeLedger(other, since).finally(() => other.drop());
}

async function shadow() {
  const client = await db.connect();
  await client.query(`begin; set local search_path = ''`);
  await installShadow(client, mappingWith(), await readParties(client));
  await client.query('commit; reset role');
}

async function sample() {
  const client = await db.connect();
  return compare(client, mappingWith(), await readParties(client));
}

/** Runs it until so many pieces are committed. */
async function stopAfter(pieces: number, piece = 10) {
  let asked = 0;
  const report = await adoptAll(db, choice, {
    piece,
    interrupted: () => {
      asked += 1;
      return asked > pieces ? 'SIGINT' : undefined;
    },
  });
  expect(report.stopped_by).toBe('SIGINT');
}

const imported = async (id: number) =>
  (
    await db.one(
      `select count(*)::int as n from credits.transactions where account_id = $1 and idempotency_key like 'legacy %'`,
      [id],
    )
  ).n;
const begun = () => db.query('select account_id, book from credits_adoption.begun');

test('adopt that stops between pieces keeps what it committed, and another run ends in the same ledger', async () => {
  const since = Date.now();
  await stopAfter(2);
  const nonzero = accounts[0]?.history.slice(0, 20).filter(({ amount }) => amount !== 0);
  expect(await imported(1)).toBe(nonzero?.length);
  expect(await begun()).toEqual([{ account_id: '1', book: 'history' }]);
  const found = await plan(await db.connect(), mappingWith());
  expect(found).toMatchObject({
    accounts: 3n,
    adopted: 0n,
    begun: 1n,
    conflicts: { accounts: 0n },
  });
  expect(await adoptAll(db, choice, { piece: 7 })).toMatchObject({
    accounts: 3n,
    transactions: 68n,
  });
  expect(await begun()).toEqual([]);
  expect(await wholeLedger(db, since)).toEqual(await wholeAtOnce());
});

test('adoption that was begun as a history is not finished as an opening balance', async () => {
  await stopAfter(1);
  const before = await wholeLedger(db, 0);
  await expect(adoptAll(db, { ...choice, book: 'opening' })).rejects.toThrow(
    /^nothing was written\n1 account was begun with --book history, and can only be ended with it$/,
  );
  expect(await wholeLedger(db, 0)).toEqual(before);
});

test('adoption that another run has meanwhile begun as a history is not finished as an opening balance', async () => {
  const [holder, client] = [await db.connect(), await db.connect()];
  const waiting = await pid(client);
  await holder.query('begin');
  await holder.query(`select credits_private.begin_import('1')`);
  const running = adoptAll(db, { ...choice, book: 'opening' }, { client });
  const failed = expect(running).rejects.toThrow(
    /^account 1 was begun with --book history, and can only be ended with it; nothing was adopted: run it again/,
  );
  await waitUntilBlocked(db, waiting);
  await holder.query(`insert into credits_adoption.begun values ('1', 'history', 'transactions')`);
  await holder.query('commit');
  await failed;
});

test('two runs of adopt at once book each transaction once, in order', async () => {
  const since = Date.now();
  const holder = await db.connect();
  await holder.query('begin');
  await holder.query(`select credits_private.begin_import('1')`);
  const clients = [await db.connect(), await db.connect()];
  const pids = await Promise.all(clients.map(pid));
  const running = clients.map((client, i) => adoptAll(db, choice, { client, piece: 4 + i }));
  for (const each of pids) await waitUntilBlocked(db, each);
  await holder.query('commit');
  const reports = await Promise.all(running);
  expect(reports.reduce((sum, each) => sum + each.accounts, 0n)).toBe(3n);
  expect(await wholeLedger(db, since)).toEqual(await wholeAtOnce());
});

test('what the app writes between two pieces, of any moment, is in the ledger once', async () => {
  await shadow();
  await stopAfter(2);
  await addTransactions(db, 1, [
    { id: 'old', amount: 1000, at: us('2023-01-01T00:00:00Z') },
    { id: 'new', amount: -77, at: Date.now() * 1000 },
  ]);
  await db.query(`update app.transactions set amount = amount + 5000 where id = '1 t0003'`);
  await db.query(`update app.transactions set amount = amount - 300 where id = '1 t0035'`);
  await db.query(`delete from app.transactions where id in ('1 t0005', '1 t0036')`);
  await db.query(
    `update app.wallets set credits = (select sum(amount) from app.transactions where user_id = 1) where user_id = 1`,
  );
  expect(await sample()).toMatchObject({ not_adopted: 3n, failures: [], mirrored: 0n });
  await adoptAll(db, choice, { piece: 10 });
  await addTransactions(db, 1, [{ id: 'mirrored', amount: -3, at: Date.now() * 1000 }]);
  await db.query('update app.wallets set credits = credits - 3 where user_id = 1');
  expect(await sample()).toMatchObject({ agree: 3n, differ: 0n, failures: [], mirrored: 1n });
  const sums = await db.query(
    `select substr(regexp_replace(idempotency_key, ' at adoption$', ''), 8) as id, sum(amount)::int as amount
     from credits.transactions where account_id = '1' group by 1 having sum(amount) <> 0 order by 1`,
  );
  expect(sums).toEqual(
    await db.query(
      'select id, amount::int from app.transactions where user_id = 1 and amount <> 0 order by 1',
    ),
  );
  const [old] = await db.query(
    `select metadata ->> 'legacy_created_at' as at from credits.transactions where idempotency_key = 'legacy 1 old'`,
  );
  expect(old).toEqual({ at: '2023-01-01T00:00:00Z' });
  expect(await verify(await db.connect())).toEqual([]);
});

test('an account that somebody else uses between two pieces is not adopted', async () => {
  await stopAfter(1);
  await db.query(`select credits.grant_credits('1', 5, 'k')`);
  await expect(adoptAll(db, choice)).rejects.toThrow(
    /^account 1 does not have what was booked; nothing was adopted: run it again/,
  );
  expect(await begun()).toHaveLength(1);
  expect(await balanceOf(db, '1')).not.toBe(totalOf(accounts[0]?.history ?? []));
});
