import { expect, test } from 'vitest';
import type { Cause } from '../../../scripts/adoption/diagnose/causes.ts';
import { cli } from '../../deploy/fixture.ts';
import { createDatabase, type Database } from '../../support/database.ts';
import { seedOf } from '../../support/random.ts';
import { legacyAccounts, legacyTransactions } from '../../support/variables.ts';
import { legacyMapping, makeLegacy } from '../legacy.ts';
import { mappingFile } from '../mappings.ts';

const seed = seedOf();
const [accounts, transactions] = [legacyAccounts, legacyTransactions];
const isLarge = transactions > 100_000;

/** Set for a run at another size than the usual one: the figures of such a run are to be read. */
const report = (line: string) => isLarge && console.log(line);

/**
 * The command's limit of memory, however many rows there are; it prints its peak last, in
 * kilobytes.
 */
const sayMemory = {
  NODE_OPTIONS: `--max-old-space-size=32 --import=data:text/javascript,${encodeURIComponent(
    `process.on('exit',()=>console.error(process.resourceUsage().maxRSS))`,
  )}`,
};

interface Found {
  account_id: string;
  causes: Cause[];
}

/** A line for each account and cause, to compare. */
const lineOf = (account_id: string, { surface, cause, rows, effect, once }: Cause) =>
  [account_id, surface, cause, rows ?? '-', effect, once ?? '-'].join(' | ');

async function planted(db: Database): Promise<string[]> {
  const rows = await db.query(
    'select account_id, surface, cause, rows, effect, once from legacy.planted',
  );
  return rows.map((row) => lineOf(row.account_id, row)).sort();
}

async function found(db: Database): Promise<string[]> {
  const started = Date.now();
  const args = ['--database-url', db.url, '--mapping', mappingFile(legacyMapping), '--json'];
  const outcome = await cli(['diagnose', ...args], sayMemory);
  expect(outcome.stderr).toMatch(/^\d+\n$/);
  expect(outcome.code).toBe(0);
  report(
    `diagnose: ${(Date.now() - started) / 1000} s, at most ${Math.round(Number(outcome.stderr) / 1024)} MB`,
  );
  const { accounts } = JSON.parse(outcome.stdout) as { accounts: Found[] };
  return accounts
    .flatMap((each) => each.causes.map((cause) => lineOf(each.account_id, cause)))
    .sort();
}

const kinds = new Set<string>();
const seeds = isLarge ? [seed] : [seed, seed + 1, seed + 2];
test.each(seeds)(
  'every planted fault is found, with its figures, and none is invented (seed %i)',
  async (seed) => {
    const db = await createDatabase({ empty: true });
    try {
      const client = await db.connect();
      const started = Date.now();
      await makeLegacy(client, { accounts, transactions, seed });
      report(
        `${accounts} accounts, ${transactions} transactions: made in ${(Date.now() - started) / 1000} s`,
      );
      const expected = await planted(db);
      for (const line of expected) kinds.add(line.split(' | ').slice(1, 3).join(' | '));
      const [wrongly, missed] = differences(await found(db), expected);
      expect({ seed, wrongly, missed }).toEqual({ seed, wrongly: [], missed: [] });
    } finally {
      await db.drop();
    }
  },
  isLarge ? 3_600_000 : 60_000,
);

test('the planted faults were of every kind', () => {
  expect([...kinds].sort()).toEqual([
    'api_key_calls | debits_without_api_key',
    'balance | balance_changed_without_transaction',
    'balance | chain_gaps',
    'balance | duplicates',
    'balance | refunds_left_out',
    'counter monthly_calls_count | counted_as_one',
    'counter monthly_calls_count | debits_without_api_key',
    'counter monthly_calls_count | duplicates',
    'counter monthly_calls_count | refunds_left_out',
    'counter monthly_calls_count | unknown_api_key',
  ]);
});

function differences(found: string[], expected: string[]): [string[], string[]] {
  const [inFound, inExpected] = [new Set(found), new Set(expected)];
  expect(inFound.size).toBe(found.length);
  return [
    found.filter((line) => !inExpected.has(line)),
    expected.filter((line) => !inFound.has(line)),
  ];
}
