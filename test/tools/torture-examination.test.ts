import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { randomNumbers } from '../../tools/random.ts';
import { accounts, type Call, deduct, grant, hold, nextCall } from '../../tools/torture/calls.ts';
import { examine } from '../../tools/torture/examination.ts';
import { type Entry, isFree, Journal } from '../../tools/torture/journal.ts';
import { startLoad } from '../../tools/torture/load.ts';
import { Session } from '../../tools/torture/session.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { tamper } from '../support/discrepancies.ts';

interface Books {
  db: Database;
  journal: Journal;
}

// The examination after a fault is worth what it finds. First a load that no fault disturbs; tests
// that change the journal do that to a copy, those that change the database have one of their own.
let shared: Books;
let books: Books;
beforeAll(async () => {
  shared = await undisturbed();
});
beforeEach(() => {
  const journal = new Journal();
  journal.entries.push(...structuredClone(shared.journal.entries));
  books = { db: shared.db, journal };
});
afterAll(() => shared?.db.drop());

async function undisturbed(): Promise<Books> {
  const [db, journal] = [await createDatabase(), new Journal()];
  const made = { db, journal };
  await db.query('create schema app; create table app.requests (key text primary key)');
  for (const account of accounts)
    await carryOut(made, grant({ kind: 'grant', account, key: journal.newKey(), amount: 200 }));
  const load = startLoad({ url: () => db.url, journal, callers: 4, seed: 1 });
  await load.acknowledges(40);
  await load.stop();
  return made;
}

async function ownBooks(): Promise<void> {
  books = await undisturbed();
  onTestFinished(() => books.db.drop());
}

async function carryOut({ db, journal }: Books, call: Call): Promise<void> {
  const session = new Session(() => db.url);
  await session.carryOut(journal, journal.ask(call));
  await session.end();
}

/** Each finding's check, account and key or figure. */
async function found(): Promise<string[]> {
  const { db, journal } = books;
  const findings = await examine(db.url, journal);
  return findings.map(({ check, account_id, subject }) => `${check}: ${account_id} ${subject}`);
}

const madeUp = { kind: 'deduct', account: 'a', key: 'made up', amount: 3 } as const;
const answer = { transaction_id: 9999, amount: 3, balance: 1, available: 1, replayed: false };

test('all is well after a load that nothing disturbed', async () => {
  expect(await examine(books.db.url, books.journal)).toEqual([]);
  expect(shared.journal.figures()).toMatchObject({ lostAnswers: 0, foundCommitted: 0 });
});

test('an acknowledged call that is not there is found', async () => {
  books.journal.answer(books.journal.ask(deduct(madeUp)), [answer]);
  expect(await found()).toEqual([
    'acknowledged_is_booked: a made up',
    'acknowledged_is_kept: a made up',
    'remaining_adds_up: a balance',
    'remaining_adds_up: a available',
    'remaining_adds_up: a used',
    'remaining_adds_up: a calls',
  ]);
});

test('an acknowledged hold that is not there is found', async () => {
  const call = hold({ ...madeUp, kind: 'hold' });
  books.journal.answer(books.journal.ask(call), [{ ...answer, hold_id: 9999 }]);
  expect(await found()).toEqual([
    'acknowledged_is_kept: a made up',
    'remaining_adds_up: a held',
    'remaining_adds_up: a available',
    'remaining_adds_up: a holds',
  ]);
});

test('an effect that nobody was told of, under another key, is found', async () => {
  await ownBooks();
  await books.db.query(`select balance from credits.grant_credits('a', 5, 'twice')`);
  expect(await found()).toEqual([
    'booked_is_acknowledged: a twice',
    'kept_is_acknowledged: a twice',
    'remaining_adds_up: a balance',
    'remaining_adds_up: a available',
  ]);
});

test.each(['transaction_id', 'amount', 'balance', 'available'] as const)(
  'an answer whose %s is not the one given is found',
  async (figure) => {
    const entry = someDeduction();
    const told = entry.answers?.[0];
    if (told) told[figure] = (told[figure] ?? 0) + 1;
    const checks = (await examine(books.db.url, books.journal)).map(({ check }) => check);
    const isInLedger = figure !== 'available';
    expect(checks).toEqual([
      isInLedger ? 'acknowledged_is_booked' : 'a_retry_gets_the_first_answer',
    ]);
  },
);

test('calls deduct nothing now and then, alone and in batches', () => {
  const [random, known, journal] = [randomNumbers(1), { spent: [], holds: [] }, new Journal()];
  const calls = Array.from({ length: 200 }, () => nextCall(random, known, journal.newKey));
  const free = calls.filter(({ parts }) => parts.some(isFree));
  expect(new Set(free.map(({ parts }) => parts.length > 1))).toEqual(new Set([true, false]));
});

test('a deduction of 0 whose key or answer is lost is found', async () => {
  await ownBooks();
  const keys = 'credits_private.idempotency_keys';
  for (const key of ['key', 'answer'])
    await carryOut(books, deduct({ ...madeUp, amount: 0, key: `lost ${key}` }));
  await tamper(
    books.db,
    'idempotency_keys',
    `update ${keys} set answer = answer || '{"balance": 99999}' where idempotency_key = 'lost answer'`,
  );
  expect(await found()).toEqual(['a_retry_gets_the_first_answer: a lost answer']);
  await tamper(
    books.db,
    'idempotency_keys',
    `delete from ${keys} where idempotency_key = 'lost key'`,
  );
  expect(await found()).toContain('acknowledged_is_kept: a lost key');
});

test('a deduction of 0 that was booked, or refused, is found', async () => {
  await ownBooks();
  await books.db.query(`select balance from credits.deduct_credits('a', 3, 'made up')`);
  books.journal.answer(books.journal.ask(deduct({ ...madeUp, amount: 0 })), [
    { ...answer, transaction_id: null, amount: 0 },
  ]);
  expect(await found()).toContain('booked_is_acknowledged: a made up');
  books.journal.refuse(books.journal.ask(deduct({ ...madeUp, key: 'free', amount: 0 })), 'PT402');
  expect(await found()).toContain('only_shortages_are_refused: null free');
});

test('an attempt that raised an error and took effect all the same is found', async () => {
  const entry = someDeduction();
  entry.failed = 1;
  for (const each of entry.answers ?? []) each.replayed = true;
  expect(await found()).toEqual([expect.stringMatching(/^an_error_leaves_nothing: /)]);
  entry.lost = 1;
  expect(await found()).toEqual([]);
});

test('a call without an answer, and a refusal without a reason, are found', async () => {
  books.journal.ask(deduct(madeUp));
  expect(await found()).toEqual(['every_call_is_answered: null made up']);
  books.journal.refuse(books.journal.entries.at(-1) as Entry, 'PT404');
  expect(await found()).toEqual(['only_shortages_are_refused: null made up']);
});

test("an app's row without its call, and a call without its row, are found", async () => {
  await ownBooks();
  await books.db.query(`insert into app.requests values ('stray')`);
  await carryOut(books, deduct({ ...madeUp, key: 'lost row', amount: 1 }, true));
  await books.db.query(`delete from app.requests where key = 'lost row'`);
  expect(await found()).toEqual([
    'app_rows_commit_with_their_calls: null lost row',
    'app_rows_commit_with_their_calls: null stray',
  ]);
});

test('a transaction that is lost from the ledger is found, by the ledger too', async () => {
  await ownBooks();
  const { answers, call } = someDeduction();
  const id = answers?.[0]?.transaction_id;
  const account = call.parts[0]?.account;
  await tamper(
    books.db,
    'entries',
    `delete from credits_private.entries
    where account_id = '${account}' and transaction_id = ${id}`,
  );
  const all = await found();
  expect(all).toContain(`acknowledged_is_booked: ${account} ${call.parts[0]?.key}`);
  expect(all).toContain(`balance_equals_ledger: ${account} balance`);
});

function someDeduction(): Entry {
  const entry = books.journal.entries.find(
    ({ call, answers }) =>
      call.parts.length === 1 && call.parts[0]?.kind === 'deduct' && answers && !call.inTransaction,
  );
  if (!entry) throw new Error('the load deducted nothing');
  return entry;
}
