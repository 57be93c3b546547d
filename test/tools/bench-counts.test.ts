import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepare } from '../../tools/bench/alternatives.ts';
import { measureCell } from '../../tools/bench/measure.ts';
import { nodeDriver } from '../../tools/bench/node-driver.ts';
import { parseOptions } from '../../tools/bench/options.ts';
import { readOutcome } from '../../tools/bench/pgbench.ts';
import { useDatabase } from '../support/database.ts';

const db = useDatabase();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pg-credits bench '));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('work is counted, by rows and by credits', () => {
  let client: pg.Client;
  beforeAll(async () => {
    client = await db.connect();
    await prepare(client, 5);
  });

  const floor = `select transaction_id, balance
    from bench.deduct_from_floor('acct-' || :account, 1, 'request ' || :account);`;
  test.each([
    ['does what it says', floor, 'well'],
    ['does nothing', 'select :account;', /^floor: (\d+) deductions reported, but 0 entries and 0/],
    [
      'does it twice',
      `begin;${floor}${floor}commit;`,
      /^floor: \d+ deductions reported, but \d+ en/,
    ],
    [
      'writes no entry',
      `update bench.floor_accounts set balance = balance - 1 where account_id = 'acct-' || :account;`,
      /^floor: (\d+) deductions reported, but 0 entries and \1 credits/,
    ],
    ['fails', floor.replace('_id', '_it'), /column "transaction_it" does not exist/],
  ])('a contender that %s', async (_, sql, outcome) => {
    const script = join(folder, 'planted.sql');
    writeFileSync(script, `\\set account random(1, :accounts)\n${sql}\n`);
    const measured = measureCell(
      {
        client,
        driver: nodeDriver,
        url: db.url,
        rounds: 1,
        seconds: 0.1,
        signal: new AbortController().signal,
        progress: () => {},
      },
      {
        title: 'planted',
        clients: 2,
        accounts: 5,
        latencyMs: 0,
        isFlushed: true,
        contenders: [{ id: 'floor', name: 'floor', script, work: 'floor', size: 1 }],
      },
    );
    if (outcome === 'well') expect((await measured).perSecond.floor).toHaveLength(1);
    else await expect(measured).rejects.toThrow(outcome);
  });
});

describe('what pgbench says', () => {
  const said = (failed: number) => `transaction type: deduct.sql
number of transactions actually processed: 2600
number of failed transactions: ${failed} (0.000%)
latency average = 1.000 ms
initial connection time = 200.000 ms
tps = 866.666667 (without initial connection time)`;
  const progress = `progress: 1.2 s, 600.0 tps, lat 1.0 ms stddev 0.1, 0 failed
progress: 2.2 s, 990.0 tps, lat 1.0 ms stddev 0.1, 0 failed`;

  test('the first seconds are left out', () => {
    const { transactions, perSecond } = readOutcome(said(0), progress, 1);
    expect(transactions).toBe(2600);
    expect(perSecond).toBeCloseTo(1000, 3); // (2600 - 600) / (3 s - 1 s)
    expect(readOutcome(said(0), progress, 2).perSecond).toBeCloseTo(1010, 3); // … - 990) / 1 s
  });
  test('a failed transaction fails the bench', () =>
    expect(() => readOutcome(said(3), progress, 1)).toThrow('pgbench: 3 transactions failed'));
  test('pgbench without a line of progress gives no figure', () =>
    expect(readOutcome(said(0), '', 1).perSecond).toBeNaN());
});

test.each([
  [['--rounds', '0'], '--rounds must be at least 1, not 0'],
  [['--seconds', 'long'], '--seconds must be a number above 0, not long'],
  [['--clients', '1,x'], '--clients must be a whole number, not x'],
  [['--only', 'floor,us'], '--only knows floor, floor-sql, hand, house, deduct, batch: us'],
  [['--frobnicate'], "Unknown option '--frobnicate'"],
  [
    ['growth', '--only', 'floor'],
    '--only knows levels, holds, batches, due, history, ledger: floor',
  ],
  [['growth', 'more'], "unexpected argument 'more'"],
])('the bench refuses %j', (args, line) => expect(() => parseOptions(args)).toThrow(line));
