import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../scripts/package.ts';
import { parseMutate } from '../../tools/mutate/options.ts';
import { mutate } from '../../tools/mutate/run.ts';
import type { Trial } from '../../tools/mutate/trials.ts';
import { judge, unfilled } from '../../tools/mutate/verdict.ts';
import { createDatabase } from '../support/database.ts';

const timeout = 300_000;

/** A run on a database of its own, after `plant` has made it faulty. */
async function run(args: string[], plant = '') {
  const db = await createDatabase();
  try {
    if (plant) await db.query(plant);
    return await mutate(await db.connect(), parseMutate(args));
  } finally {
    await db.drop();
  }
}

test('mutate: whatever is changed by hand is refused or found, or is on the list', {
  timeout,
}, async () => {
  const reports = await run(['--small']);
  expect(reports.map(({ triggers }) => triggers)).toEqual(['off', 'on']);
  for (const { triggers, totals, faults, kinds } of reports) {
    console.log(`triggers ${triggers}: ${JSON.stringify(totals)}`);
    expect(faults).toEqual([]);
    expect(totals).toMatchObject({ unfound: 0, broke: 0 });
    expect(kinds.length).toBeGreaterThan(150);
  }
  const [behind, before] = reports;
  expect(behind?.totals.found).toBeGreaterThan(400);
  expect(before?.totals.found).toBe(0);
});

const few = ['--accounts', '3', '--steps', '50', '--mutants', '10'];
const noCheck = (name: string) =>
  `create or replace view credits_private.check_${name} as
   select ''::text as invariant, ''::text as account_id, ''::text as expected, ''::text as actual,
     ''::text as subject where false`;

test.each([
  ['a check is gone', 'off', 'holds.amount', noCheck('held_equals_open_holds')],
  ['a check is gone', 'off', 'entries.is_final', noCheck('entries_are_immutable')],
  ['a check is gone', 'off', 'grants.priority', noCheck('a_key_has_one_answer')],
  ['a check is gone', 'off', 'grants.origin_grant_id', noCheck('every_change_has_an_entry')],
  [
    'a guard is gone',
    'on',
    'grants.amount',
    'drop trigger _102_counters_change_only_with_the_ledger on credits_private.grants',
  ],
  [
    'a guard is gone',
    'on',
    'hold_parts (deleted)',
    'drop trigger _100_hold_parts_are_immutable on credits_private.hold_parts',
  ],
])(
  'mutate reports a planted hole: %s, triggers %s, %s',
  { timeout },
  async (_, triggers, what, plant) => {
    const args = [...few, '--triggers', triggers, '--columns', what];
    const [report] = await run(args, plant);
    expect(report?.totals.unfound).toBeGreaterThan(0);
    expect(report?.faults).toEqual(
      expect.arrayContaining([expect.stringContaining(`${what}: unfound: `)]),
    );
  },
);

test('mutate counts a search that ends with an error as a fault', { timeout }, async () => {
  const fails = `create or replace view credits_private.check_entries_are_immutable as
    select ''::text as invariant, e.account_id, ''::text as expected, ''::text as actual,
      ''::text as subject from credits_private.entries as e where 1 / e.entry_count < 0`;
  const [report] = await run(
    [...few, '--triggers', 'off', '--columns', 'entries.entry_count'],
    fails,
  );
  expect(report?.totals.broke).toBeGreaterThan(0);
  expect(report?.faults).toContainEqual(
    expect.stringMatching(/^entries.entry_count: the search ended with 'division by zero'/),
  );
});

describe('the verdict', () => {
  const trial = (what: string, outcome: Trial['outcome']): Trial => ({
    what,
    outcome,
    how: 'a = 1',
    by: '',
  });

  const all = (trials: Trial[]) => ({ trials, exhausted: new Set(['t.a', 't.b']) });

  test('what goes unfound and is on the list is no fault, and is counted apart', () => {
    const trials = [trial('t.a', 'unfound'), trial('t.a', 'found'), trial('t.b', 'refused')];
    const { totals, faults } = judge(all(trials), { 't.a': 'a setting' });
    expect(faults).toEqual([]);
    expect(totals).toEqual({ tried: 3, refused: 1, found: 1, unfound: 0, broke: 0, listed: 1 });
  });

  test('what goes unfound and is not on the list is a fault', () => {
    expect(judge(all([trial('t.a', 'unfound')]), {}).faults).toEqual(['t.a: unfound: a = 1']);
  });

  test('what is on the list, and is always found or refused, is a fault', () => {
    const trials = [trial('t.a', 'found'), trial('t.a', 'refused')];
    expect(judge(all(trials), { 't.a': 'a setting' }).faults).toEqual([
      't.a: is on the list, and never goes unfound',
    ]);
    const some = { trials, exhausted: new Set<string>() };
    expect(judge(some, { 't.a': 'a setting' }).faults).toEqual([]);
  });

  test('a table without a row to change is a fault', () => {
    const tables = [
      { name: 'filled', sorts: [[["'account 1'"]]] },
      { name: 'empty', sorts: [] },
    ];
    expect(unfilled(tables)).toEqual(['empty: has no row, so nothing of it was tried']);
  });
});

test.each([
  ['a way that there is not', ['--triggers', 'none'], '--triggers is on or off: none'],
  ['a number that is none', ['--mutants', '0'], '--mutants must be at least 1, not 0'],
])('mutate: %s is wrong usage, with status 2', { timeout }, async (_, args, message) => {
  const command = ['--import', 'tsx', 'tools/mutate/main.ts', ...args];
  const ended = await promisify(execFile)(process.execPath, command, { cwd: packageRoot }).catch(
    (error) => error,
  );
  expect(ended).toMatchObject({
    code: 2,
    stdout: '',
    stderr: `${message}; see npm run mutate -- --help\n`,
  });
});
