import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { verify } from '../../../scripts/verify/examine.ts';
import { pid } from '../../concurrency/race.ts';
import type { Database } from '../../support/database.ts';
import { randomNumbers, seedOf } from '../../support/random.ts';
import {
  type Account,
  adoptAll,
  adoptCommand,
  appWith,
  mappingFile,
  totalOf,
  wholeLedger,
} from '../app.ts';
import { randomHistory } from '../history.ts';

const seed = seedOf();
const choice = { book: 'history', trust: 'balance' } as const;
const count = 18;

const accounts = Array.from({ length: count }, (_, i): Account => {
  const history = randomHistory(seed + i, 20);
  return { id: i, zone: 'Europe/Berlin', history, balance: totalOf(history) + (i % 5) - 2 };
});

let db: Database;
beforeEach(async () => {
  db = await appWith(accounts);
});
afterEach(() => db.drop());

/** How many accounts are adopted; each of them must be whole, at any moment. */
async function adopted(): Promise<number> {
  const { state } = await db.one(`select to_regclass('credits_adoption.accounts') as state`);
  if (!state) return 0;
  const { all, whole } = await db.one(
    `select count(*)::int as all, (count(*) filter (where o.balance = a.legacy_balance
       and (select count(*) from app.transactions as t where t.user_id::text = a.account_id and t.amount <> 0)
         = (select count(*) from credits.transactions as t where t.account_id = a.account_id
           and t.idempotency_key like 'legacy %')))::int as whole
     from credits_adoption.accounts as a join credits_private.accounts as o using (account_id)`,
  );
  const { others } = await db.one(
    `select count(distinct account_id)::int as others from credits.entries
     where account_id not in (select account_id from credits_adoption.accounts
       union select account_id from credits_adoption.begun)`,
  );
  expect({ seed, whole, others }).toEqual({ seed, whole: all, others: 0 });
  return all;
}

// What a run that nothing disturbed leaves.
let undisturbed: Promise<unknown> | undefined;

async function expectTheSame(since: number) {
  expect(await adopted()).toBe(count);
  undisturbed ??= appWith(accounts).then(async (other) => {
    const started = Date.now();
    await adoptAll(other, choice);
    return wholeLedger(other, started).finally(() => other.drop());
  });
  expect({ seed, ledger: await wholeLedger(db, since) }).toEqual({
    seed,
    ledger: await undisturbed,
  });
  expect({ seed, findings: await verify(await db.connect()) }).toEqual({ seed, findings: [] });
}

const { below } = randomNumbers(seed);

/** Stops it three times, each time later, at whatever it does then. */
async function stopAtRandom(
  start: () => Promise<{ stop: () => unknown; stopped: Promise<unknown> }>,
) {
  for (const from of [1 + below(3), 5 + below(3), 10 + below(3)]) {
    const { stop, stopped } = await start();
    while ((await adopted()) < from) await sleep(1);
    await sleep(below(40));
    await stop();
    await stopped;
  }
  expect({ seed, adopted: await adopted() }).toEqual({
    seed,
    adopted: expect.toSatisfy((n: number) => n < count),
  });
}

test.each([
  ['each account whole', 1000],
  ['in pieces', 7],
])(
  'adopt whose connection is cut at random, %s, ends in the same ledger, to the entry',
  async (_, piece) => {
    const since = Date.now();
    await stopAtRandom(async () => {
      const client = await db.connect();
      const backend = await pid(client);
      const stopped = expect(adoptAll(db, choice, { client, batch: 2, piece })).rejects.toThrow(
        /^lost the connection to the server .*: run it again for the rest$/,
      );
      return { stop: () => db.query('select pg_terminate_backend($1)', [backend]), stopped };
    });
    await adoptAll(db, choice, { piece });
    await expectTheSame(since);
  },
);

test('adopt that is killed at random and restarted ends in the same ledger, to the entry', async () => {
  const since = Date.now();
  const file = mappingFile();
  const args = ['--book', 'history', '--trust', 'balance', '--batch', '2'];
  await stopAtRandom(async () => {
    const running = adoptCommand(db, file, ...args);
    const stopped = running.then(({ code }) => expect(code).toBe(null));
    return { stop: () => running.child.kill('SIGKILL'), stopped };
  });
  expect((await adoptCommand(db, file, ...args)).code).toBe(0);
  await expectTheSame(since);
});
