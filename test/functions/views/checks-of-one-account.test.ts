import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../../../scripts/package.ts';
import { useDatabase } from '../../support/database.ts';

const db = useDatabase();
let client: pg.Client;

// Where there is an index, it is used, however small the tables are: a scan that is left has no way
// to the account.
beforeAll(async () => {
  client = await db.connect();
  await client.query('set enable_seqscan = off; set enable_bitmapscan = off');
});

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  Schema?: string;
  'Index Cond'?: string;
  Plans?: Plan[];
}

const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

/** Tables of ours that the query reads without saying of which account. */
async function scans(query: string): Promise<string[]> {
  const { rows } = await client.query(`explain (verbose, format json) ${query}`);
  return (
    nodes(rows[0]['QUERY PLAN'][0].Plan)
      // A function is called for an account, and reads what it reads by itself.
      .filter((node) => node.Schema === 'credits_private' && node['Node Type'] !== 'Function Scan')
      .filter((node) => !/\baccount_id = /.test(node['Index Cond'] ?? ''))
      .map((node) => `${node['Node Type']} of ${node['Relation Name']}`)
  );
}

const checks = readdirSync(join(packageRoot, 'sql/checks')).map((name) => name.replace('.sql', ''));

test.each(checks)('filtered by account, the check of %s reads that account alone', async (name) => {
  const view = `credits_private.check_${name}`;
  expect(await scans(`select * from ${view} where account_id = 'acme'`)).toEqual([]);
});

test('filtered by account, credits.discrepancies reads that account alone', async () => {
  expect(await scans(`select * from credits.discrepancies where account_id = 'acme'`)).toEqual([]);
});

test('a check that reads the accounts of others is found', async () => {
  await client.query(`create temporary view fault as
    select a.account_id from credits_private.accounts as a
    left join (select account_id, count(*) over () from credits_private.entries) as e using (account_id)`);
  expect(await scans(`select * from fault where account_id = 'acme'`)).toEqual([
    expect.stringMatching(/^(Seq|Index|Index Only) Scan of entries$/),
  ]);
});
