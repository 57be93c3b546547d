import { expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { insertEntry } from '../support/ledger.ts';

const db = useDatabase();

const numbers = async (account: string): Promise<number[]> => {
  const rows = await db.query(
    'select entry_id from credits.entries where account_id = $1 order by entry_id',
    [account],
  );
  return rows.map((row) => row.entry_id);
};
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

test('after any history, refused calls included, entries and parts are numbered 1, 2, 3, …', async () => {
  for (const seed of [51, 52, 53]) {
    await writeHistory(db, `history ${seed}`, seed);
    const found = await numbers(`history ${seed}`);
    expect(found).toEqual(upTo(found.length));
    const parts = await db.query(
      'select part_id from credits_private.hold_parts where account_id = $1 order by part_id',
      [`history ${seed}`],
    );
    expect(parts.length).toBeGreaterThan(5);
    expect(parts.map((part) => part.part_id)).toEqual(upTo(parts.length));
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('entries have no gap when callers on many connections succeed, fail and roll back', async () => {
  await db.query(`select credits.grant_credits('busy', 20, 'grant')`);
  const call = async (n: number) => {
    const client = await db.connect();
    await client.query('begin');
    await client.query(`select credits.deduct_credits('busy', 3, $1)`, [`${n}`]).catch(() => {});
    await client.query(n % 3 === 0 ? 'rollback' : 'commit');
    await client.end();
  };
  await Promise.all(upTo(12).map(call));
  expect(await numbers('busy')).toEqual(upTo(7));
  expect(await discrepancies(db, 'busy')).toEqual([]);
});

test.each([
  ['skips a number', 10],
  ['repeats a number', 8],
])('an entry that %s is refused, to the owner too', async (_, entry_id) => {
  const account = `sample ${entry_id}`;
  await writeSample(db, account);
  const error = await raised(insertEntry(db, account, { entry_id, transaction_id: entry_id }));
  const refused = {
    10: { code: '23514', constraint: 'entries_are_gapless' },
    8: { code: '23505', constraint: 'entries_have_one_row_each' },
  }[entry_id];
  expect(error).toMatchObject(refused ?? {});
  if (entry_id === 10) expect(error.detail).toMatchObject({ invariant: 'entries_are_gapless' });
  expect(await numbers(account)).toEqual(upTo(8));
});

const without = (entry: number) =>
  findingsOf(
    'entries',
    `delete from credits_private.entries where account_id = 'broken' and entry_id = ${entry}`,
  );
const ofSearch = 'period 2024-01-01, api key key a, operation search';
const ofOther = 'period 2024-03-01, api key , operation ';

test('a missing entry in the middle is found', async () => {
  expect(await without(4)).toEqual([
    ['balance_equals_ledger', 'balance', '105', '95'],
    ['entries_are_gapless', 'entries', '1 to 8', '7 entries, 1 to 8'],
    ['entries_are_gapless', 'transaction 3', 'entries 3 to 4', '1 entries, 3 to 3'],
    ['entries_are_immutable', 'entry 5', '110', '100'],
    ['grants_equal_ledger', 'grant 1', '105', '95'],
    ['invoice_equals_balance_delta', 'period 2024-01-01', '110', '120'],
    ['refunds_never_exceed_the_original', 'entry 4', 'at most 0', '10'],
    [
      'refunds_never_exceed_the_original',
      'what entry 5 gives back',
      'an entry, and its transaction',
      'entry 4, transaction 3',
    ],
    ['usage_equals_ledger', ofSearch, '(50,20,1)', '(60,20,1)'],
  ]);
});

test('a missing last entry is found', async () => {
  expect(await without(8)).toEqual([
    ['balance_equals_ledger', 'balance', '100', '95'],
    ['counters_change_only_with_the_ledger', 'grant 1', '5', '8'],
    ['counters_change_only_with_the_ledger', ofOther, '0', '8'],
    ['entries_are_gapless', 'entries', '1 to 8', '7 entries, 1 to 7'],
    ['grants_equal_ledger', 'grant 1', '100', '95'],
    ['usage_equals_ledger', ofOther, '(,,)', '(5,0,1)'],
  ]);
});

test('a ledger of which nothing is left is found', async () => {
  const found = await findingsOf(
    'entries',
    `delete from credits_private.entries where account_id = 'broken'`,
  );
  expect(found).toContainEqual(['entries_are_gapless', 'entries', '1 to 8', '0 entries,  to ']);
  expect(found).toContainEqual(['balance_equals_ledger', 'balance', '0', '95']);
});

test.each([0, -1])(
  'an entry numbered %i is refused, also as one that another has applied',
  async (id) => {
    await db.query(`select credits.grant_credits('numbered ${id}', 100, 'grant')`);
    for (const statement_entries of [null, 0, 1]) {
      const entry = {
        entry_id: id,
        transaction_id: id,
        amount: 5,
        kind: 'grant',
        statement_entries,
      };
      expect(await raised(insertEntry(db, `numbered ${id}`, entry))).toMatchObject({
        code: '23514',
        constraint: 'entries_are_gapless',
      });
    }
    expect(await discrepancies(db, `numbered ${id}`)).toEqual([]);
  },
);
