import { describe, expect, test } from 'vitest';
import type { Choice } from '../../../scripts/adoption/adopt/import.ts';
import { plan } from '../../../scripts/adoption/adopt/run.ts';
import { verify } from '../../../scripts/verify/examine.ts';
import { pid } from '../../concurrency/race.ts';
import { grantAt } from '../../support/calls.ts';
import { createDatabase, type Database, waitUntilBlocked } from '../../support/database.ts';
import { balanceOf } from '../../support/ledger.ts';
import { seedOf } from '../../support/random.ts';
import { us } from '../../support/time.ts';
import {
  type Account,
  addAccounts,
  addTransactions,
  adoptAll,
  createApp,
  drifted,
  mappingWith,
  totalOf,
  wholeLedger,
} from '../app.ts';
import { callHistory, ledgerOf, randomHistory } from '../history.ts';

const choice = { book: 'opening', trust: 'balance' } as const;
const seed = seedOf(5);

/** Each with a history of its own, and drift of up to 50 either way. */
const randomAccounts = (count: number, length: number): Account[] =>
  Array.from({ length: count }, (_, i) => {
    const history = randomHistory(seed + i, length);
    const zone = ['UTC', 'Europe/Berlin', 'America/Los_Angeles'][i % 3] ?? null;
    return { id: 100 + i, zone, history, balance: totalOf(history) + ((i * 37) % 101) - 50 };
  });

const accounts = [...drifted, ...randomAccounts(4, 60)];

async function inApp(use: (db: Database) => Promise<unknown>, of = accounts) {
  const db = await createDatabase();
  try {
    await createApp(db);
    await addAccounts(db, of);
    await use(db);
  } finally {
    await db.drop();
  }
}

/** What was booked besides the history: key, amount, and both figures. */
const balancesOf = (db: Database) =>
  db.query(
    `select account_id, idempotency_key as key, amount, coalesce(operation, (
        select g.source from credits.entries as e join credits.grants as g using (account_id, grant_id)
        where e.account_id = t.account_id and e.entry_id = t.transaction_id)) as word,
      metadata -> 'legacy_balance' as balance, metadata -> 'legacy_transactions' as transactions
     from credits.transactions as t where idempotency_key like 'adoption %'
     order by account_id::int, transaction_id`,
  );

/** The rule told a second time: what is not trusted is booked, and then the difference. */
function expectedBalances({ book, trust }: Choice) {
  return accounts.flatMap(({ id, history, balance }) => {
    const transactions = totalOf(history);
    const [other, believed] =
      trust === 'balance'
        ? [transactions, balance ?? transactions]
        : [balance ?? transactions, transactions];
    const row = (word: string, amount: number) =>
      amount === 0
        ? []
        : [
            {
              account_id: String(id),
              key: `adoption ${word.replace('adoption ', '')}`,
              amount,
              word,
              balance: balance ?? null,
              transactions,
            },
          ];
    const first = book === 'history' ? transactions : other;
    return [
      ...(book === 'history' ? [] : row('opening', first)),
      ...row('adoption difference', believed - first),
    ];
  });
}

describe.each(['opening', 'history'] as const)('--book %s', (book) => {
  test.each(['transactions', 'balance'] as const)('--trust %s', async (trust) => {
    await inApp(async (db) => {
      const started = Date.now();
      const report = await adoptAll(db, { book, trust });
      expect(await balancesOf(db)).toEqual(expectedBalances({ book, trust }));
      for (const { id, history, balance } of accounts) {
        const believed = trust === 'balance' ? (balance ?? totalOf(history)) : totalOf(history);
        expect([id, await balanceOf(db, String(id))]).toEqual([id, believed]);
      }
      expect(report).toMatchObject({
        book,
        trust,
        accounts: BigInt(accounts.length),
        transactions: BigInt(accounts.flatMap(({ history }) => history).length),
        entries: BigInt((await db.one('select count(*)::int as n from credits.entries')).n),
        stopped_by: null,
      });
      const client = await db.connect();
      expect(await verify(client)).toEqual([]);
      const before = await wholeLedger(db, started);
      expect(await adoptAll(db, { book, trust })).toMatchObject({
        accounts: 0n,
        adopted_before: BigInt(accounts.length),
      });
      expect(await wholeLedger(db, started)).toEqual(before);
    });
  });
});

test('an adopted history becomes the ledger that the same calls would have written', async () => {
  await inApp(async (db) => {
    await adoptAll(db, { book: 'history', trust: 'transactions' });
    for (const { id, history, zone } of accounts) {
      if (history.length === 0) continue;
      const legacy = history.map((each) => ({
        ...each,
        id: `${id} ${each.id}`,
        ...(each.refunded === undefined ? {} : { refunded: `${id} ${each.refunded}` }),
        ...(each.isRefund ? { kind: 'refund' } : {}),
      }));
      await callHistory(db, `called ${id}`, legacy, zone ? { zone } : {});
      expect(await ledgerOf(db, String(id))).toEqual(await ledgerOf(db, `called ${id}`));
    }
  });
});

test("adopt records what it adopted, the account's metadata and the snapshot that it read", async () => {
  await inApp(async (db) => {
    await adoptAll(db, { book: 'opening', trust: 'balance' });
    const rows = await db.query(
      `select a.account_id, a.legacy_balance, a.legacy_transactions, a.transactions, a.difference,
        pg_visible_in_snapshot(r.xmin::text::xid8, a.snapshot) as read, o.metadata
       from credits_adoption.accounts as a join credits.accounts as o using (account_id)
       left join app.wallets as r on r.user_id::text = a.account_id
       where a.account_id in ('2', '10') order by 1`,
    );
    const found = { book: 'opening', trust: 'balance' };
    const two = { legacy_balance: 90, legacy_transactions: 70, transactions: 2, difference: 20 };
    const ten = { legacy_balance: null, legacy_transactions: -3, transactions: 1, difference: 0 };
    expect(rows).toEqual([
      { account_id: '10', ...ten, read: null, metadata: { adoption: { ...found, ...ten } } },
      { account_id: '2', ...two, read: true, metadata: { adoption: { ...found, ...two } } },
    ]);
  });
});

test('an account that the app creates later is adopted by the next run, with the options of that run', async () => {
  await inApp(async (db) => {
    await adoptAll(db, { book: 'opening', trust: 'balance' });
    await addAccounts(db, [{ id: 50, zone: null, balance: 4, history: randomHistory(seed, 20) }]);
    await addTransactions(db, 1, [{ id: 'later', amount: 9, at: us('2024-05-01T00:00:00Z') }]);
    const report = await adoptAll(db, { book: 'history', trust: 'transactions' });
    expect(report).toMatchObject({ accounts: 1n, adopted_before: BigInt(accounts.length) });
    expect(await balanceOf(db, '50')).toBe(totalOf(randomHistory(seed, 20)));
    expect(await balanceOf(db, '1')).toBe(70);
  });
});

test('where no balances are mapped, the last balance_after counts as the balance', async () => {
  await inApp(async (db) => {
    const mapping = mappingWith({
      balances: undefined,
      transactions: { balance_after: 'balance_after' },
    });
    await db.query(`update app.transactions set balance_after = 1000 where id = '1 t1'`);
    await db.query(`update app.transactions set balance_after = null where id = '2 t1'`);
    await adoptAll(db, { book: 'opening', trust: 'balance' }, { mapping });
    expect(await balanceOf(db, '1')).toBe(1000);
    expect(await balanceOf(db, '2')).toBe(70);
    const { legacy_balance } = await db.one(
      `select legacy_balance from credits_adoption.accounts where account_id = '2'`,
    );
    expect(legacy_balance).toBe(null);
  });
});

test.each(['opening', 'history'] as const)(
  'an app’s transaction that has the account’s lock makes adopt wait, and is in the %s',
  async (book) => {
    await inApp(async (db) => {
      const [writer, client] = [await db.connect(), await db.connect()];
      const [waiting, by] = [await pid(client), await pid(writer)];
      await writer.query('begin');
      await writer.query(`select credits_private.begin_import('2')`);
      const running = adoptAll(db, { book, trust: 'transactions' }, { client });
      await waitUntilBlocked(db, waiting, { by });
      await writer.query(
        `insert into app.transactions (id, user_id, amount, created_at) values ('late', 2, 1000, now())`,
      );
      await writer.query('commit');
      await running;
      expect(await balanceOf(db, '2')).toBe(1070);
    }, drifted);
  },
);

test('two runs of adopt at once share the work: each skips what the other has adopted', async () => {
  await inApp(async (db) => {
    const started = Date.now();
    const holder = await db.connect();
    await holder.query('begin');
    await holder.query(`select credits_private.begin_import('1')`);
    const clients = [await db.connect(), await db.connect()];
    const pids = await Promise.all(clients.map(pid));
    const choice = { book: 'history', trust: 'balance' } as const;
    const running = clients.map((client) => adoptAll(db, choice, { client, batch: 4 }));
    for (const each of pids) await waitUntilBlocked(db, each);
    await holder.query('commit');
    const reports = await Promise.all(running);
    expect(reports.map((each) => each.accounts).reduce((a, b) => a + b)).toBe(
      BigInt(accounts.length),
    );
    const both = await wholeLedger(db, started);
    await inApp(async (other) => {
      const since = Date.now();
      await adoptAll(other, choice);
      expect(both).toEqual(await wholeLedger(other, since));
    });
  });
});

test('adopt names accounts that are already in use, and writes nothing', async () => {
  await inApp(async (db) => {
    await db.query(`select credits.open_account('1'), credits.open_account('3')`);
    for (const account of ['2', '4'])
      await grantAt(db, account, Date.now() * 1000, { key: 'k', amount: 1 });
    const before = await wholeLedger(db, 0);
    const client = await db.connect();
    const { conflicts } = await plan(client, mappingWith());
    expect(conflicts).toEqual({ accounts: 2n, first: ['2', '4'] });
    await expect(adoptAll(db, choice)).rejects.toThrow(
      /^nothing was written\n2 accounts with entries, .*mapping\n {2}2\n {2}4$/,
    );
    expect(await wholeLedger(db, 0)).toEqual(before);
  });
});

test('adopt names an account that comes into use during the run, and does not write to it', async () => {
  await inApp(async (db) => {
    const [user, client] = [await db.connect(), await db.connect()];
    const waiting = await pid(client);
    await user.query('begin');
    await user.query(`select credits.grant_credits('2', 5, 'k')`);
    const running = adoptAll(db, choice, { client, batch: 2 });
    const failed = expect(running).rejects.toThrow(
      /^account 2 has come into use: it cannot be adopted any more; \d+ accounts had been adopted: run it again/,
    );
    await waitUntilBlocked(db, waiting);
    await user.query('commit');
    await failed;
    expect(await balanceOf(db, '2')).toBe(5);
  });
});
