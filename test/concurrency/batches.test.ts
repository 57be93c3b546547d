import { expect, test } from 'vitest';
import { batch, call, type Target } from '../support/calls.ts';
import { useDatabase, waitUntilBlocked } from '../support/database.ts';
import {
  type Answer,
  expectNoDiscrepancies,
  ledger,
  lockRow,
  pid,
  type Racer,
  race,
  raceFor,
  times,
} from './race.ts';

const db = useDatabase();

/** Accounts of one test, in the order in which a batch locks them: that of their bytes. */
async function granted(prefix: string, amount: number, count = 6): Promise<string[]> {
  const accounts = times(count, (i) => `${prefix} ${i % 2 ? 'a' : 'B'}${i}`).sort();
  for (const account of accounts) {
    const args = { p_account_id: account, p_amount: amount, p_idempotency_key: 'grant' };
    await call(db, 'grant_credits', args);
  }
  return accounts;
}
const deductions = (accounts: string[], key: string, amount = 10) =>
  accounts.map((account_id) => ({ account_id, amount, idempotency_key: key }));
const sends =
  (items: unknown[], allOrNothing = false): Racer =>
  (client) =>
    batch(client, items, allOrNothing);
const deducts = (account: string, key: string) => (target: Target) =>
  call(target, 'deduct_credits', {
    p_account_id: account,
    p_amount: 10,
    p_idempotency_key: key,
  });
const balances = async (accounts: string[]) =>
  (
    await db.query(
      `select balance from credits.remaining where account_id = any ($1)
       order by array_position($1, account_id)`,
      [accounts],
    )
  ).map((row) => row.balance);
const codes = (answers: Answer[]) => answers.flat().map((answer) => answer.error_code);

test('batches in opposite order over the same accounts never deadlock, and all apply', async () => {
  const accounts = await granted('opposite', 1000);
  const rounds = accounts.length;
  // In each round they wait in the middle, for another account: those before it are locked.
  for (const [round, middle] of accounts.entries()) {
    const { answers, errors } = await raceFor(
      db,
      middle,
      times(12, (i) => {
        const turned = [...accounts.slice(i % rounds), ...accounts.slice(0, i % rounds)];
        const items = deductions(i % 2 ? turned.reverse() : turned, `${round} ${i}`);
        return sends(items, i % 3 === 0);
      }),
    );
    expect(errors).toEqual([]);
    expect(codes(answers)).toEqual(times(12 * rounds, () => null));
  }
  expect(await balances(accounts)).toEqual(accounts.map(() => 1000 - 10 * 12 * rounds));
  await expectNoDiscrepancies(db);
}, 60_000);

test('a batch that waits has locked the accounts before that one, and none after it', async () => {
  const [first = '', second = '', third = ''] = await granted('midway', 100, 3);
  const connect = async () => {
    const client = await db.connect();
    return { client, pid: await pid(client) };
  };
  const [holder, sender, other] = [await connect(), await connect(), await connect()];
  await holder.client.query('begin');
  await holder.client.query(lockRow, [second]);
  const sent = batch(sender.client, deductions([third, second, first], 'batch'));
  await waitUntilBlocked(db, sender.pid, { by: holder.pid });

  expect(await deducts(third, 'while it waits')(db)).toMatchObject({ balance: 90 });
  const waiting = deducts(first, 'after it')(other.client);
  await waitUntilBlocked(db, other.pid, { by: sender.pid });
  await holder.client.query('commit');
  expect((await sent).map((answer) => answer.balance)).toEqual([80, 90, 90]);
  expect(await waiting).toMatchObject({ balance: 80 });
  await expectNoDiscrepancies(db);
});

test('a batch and single deductions racing for the last credits take no more than there is', async () => {
  const accounts = await granted('mixed', 25, 4);
  const { answers, errors } = await raceFor(db, accounts[1] ?? '', [
    ...times(4, (i) => sends(deductions([...accounts].reverse(), `batch ${i}`))),
    ...times(4, (i) => deducts(accounts[1] ?? '', `single ${i}`)),
  ]);
  const refused = codes(answers).filter(Boolean);
  expect([...refused, ...errors.map(({ code }) => code)]).toEqual(times(12, () => 'PT402'));
  expect(answers.flat().length - refused.length).toBe(8);
  expect(await balances(accounts)).toEqual([5, 5, 5, 5]);
  await expectNoDiscrepancies(db);
});

test('one batch from ten connections at once takes effect once, and all get its answers', async () => {
  const accounts = await granted('identical', 100, 3);
  const items = [...deductions(accounts, '1'), ...deductions([...accounts].reverse(), '2', 30)];
  const { answers, errors } = await raceFor(
    db,
    accounts[1] ?? '',
    times(10, () => sends(items)),
  );
  expect(errors).toEqual([]);
  const fresh = answers.filter((rows) => rows.every((row: Answer) => row.replayed === false));
  const replays = answers.filter((rows) => rows.every((row: Answer) => row.replayed === true));
  expect([fresh.length, replays.length]).toEqual([1, 9]);
  for (const rows of replays) {
    expect(rows.map((row: Answer) => ({ ...row, replayed: false }))).toEqual(fresh[0]);
  }
  expect(await balances(accounts)).toEqual([60, 60, 60]);
  await expectNoDiscrepancies(db);
});

test('of a key in two batches and a single deduction at once, one has the effect', async () => {
  const accounts = await granted('shared', 100, 2);
  const [first] = accounts as [string];
  const { answers, errors } = await raceFor(db, first, [
    sends(deductions(accounts, 'key')),
    sends(deductions([first], 'key')),
    deducts(first, 'key'),
  ]);
  expect(errors).toEqual([]);
  const ofFirst = answers.map((answer) => (Array.isArray(answer) ? answer[0] : answer));
  expect(ofFirst.map((answer) => answer.replayed).sort()).toEqual([false, true, true]);
  expect(new Set(ofFirst.map((answer) => answer.transaction_id))).toEqual(new Set([2]));
  expect(await balances(accounts)).toEqual([90, 90]);
  await expectNoDiscrepancies(db);
});

test('of a batch that is rolled back nothing is left, and one that waited for it applies', async () => {
  const accounts = await granted('undone', 100, 3);
  const items = deductions(accounts, 'key', 60);
  const { answers, errors } = await race(
    db,
    times(4, () => sends([...items].reverse())),
    (holder) => batch(holder, items),
    'rollback',
  );
  expect(errors).toEqual([]);
  expect(answers.flat().filter((answer) => answer.replayed === false)).toHaveLength(3);
  for (const account of accounts) {
    expect(await ledger(db, account)).toEqual(['grant 100', 'deduction -60']);
  }
  await expectNoDiscrepancies(db);
});

test('all or nothing: a batch that is refused late leaves the credits to one that waits', async () => {
  const accounts = await granted('refused', 100, 3);
  const last = accounts.at(-1) ?? '';
  await call(db, 'deduct_credits', { p_account_id: last, p_amount: 95, p_idempotency_key: 'used' });
  const refused = sends(deductions(accounts, 'refused', 100), true);
  const { answers, errors } = await raceFor(db, accounts[0] ?? '', [
    ...times(3, () => refused),
    sends(deductions(accounts.slice(0, 2), 'applies', 100), true),
  ]);
  expect(errors.map(({ code }) => code)).toEqual(times(3, () => 'PT402'));
  expect(answers).toHaveLength(1);
  expect(await balances(accounts)).toEqual([0, 0, 5]);
  await expectNoDiscrepancies(db);
});
