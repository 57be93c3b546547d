import { expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { discrepancies, findings } from '../support/discrepancies.ts';
import { writeHistory } from '../support/history.ts';

const db = useDatabase();

test('after any history, the lines of each invoice sum up to it', async () => {
  await Promise.all([41, 42, 43, 44].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const figures = ['credits_used', 'credits_refunded', 'net_used', 'calls'];
  const lines = await db.query(
    `select account_id, period, ${figures.map((f) => `sum(${f})::bigint as ${f}`).join(', ')}
     from credits.invoice_lines group by account_id, period order by account_id, period`,
  );
  const invoices = await db.query(
    `select account_id, period, ${figures.join(', ')} from credits.invoice
     where calls > 0 or credits_refunded > 0 order by account_id, period`,
  );
  expect(lines.length).toBeGreaterThan(8);
  expect(lines).toEqual(invoices);
  expect(await discrepancies(db)).toEqual([]);
});

test('an invoice has a line for the calls without an API key', async () => {
  await db.query(`select credits.grant_credits('keyless', 9, 'grant')`);
  await db.query(`select credits.deduct_credits('keyless', 4, '1', p_operation => 'search')`);
  await db.query(`select credits.deduct_credits('keyless', 3, '2', p_api_key_id => 'key')`);
  const lines = await db.query(
    `select api_key_id, operation, credits_used, calls from credits.invoice_lines
     where account_id = 'keyless' order by credits_used`,
  );
  expect(lines.map((line) => Object.values(line))).toEqual([
    ['key', null, 3, 1],
    [null, 'search', 4, 1],
  ]);
});

test('captures are in the line of their hold, and only the final one is a call', async () => {
  await db.query(`select credits.grant_credits('run', 100, 'grant')`);
  await db.query(
    `select credits.hold_credits('run', 50, 'hold', p_api_key_id => 'key', p_operation => 'run')`,
  );
  await db.query(`select credits.capture_hold('run', 1, 18, '1', false)`);
  await db.query(`select credits.capture_hold('run', 1, 4, '2')`);
  await db.query(`select credits.deduct_credits('run', 3, '3', 'key', 'run')`);
  const lines = await db.query(
    `select api_key_id, operation, credits_used, net_used, calls from credits.invoice_lines
     where account_id = 'run'`,
  );
  expect(lines.map((line) => Object.values(line))).toEqual([['key', 'run', 25, 25, 2]]);
  expect(await discrepancies(db)).toEqual([]);
});

test('lines that leave out the calls without an API key are found', async () => {
  const found = await findings(async (broken) => {
    const { definition } = await broken.one(
      `select pg_get_viewdef('credits.invoice_lines'::regclass) as definition`,
    );
    const leavingOut = definition.replace(
      /WHERE (?!.*WHERE)/s,
      `where (e.account_id <> 'broken' or e.api_key_id is not null) and `,
    );
    await broken.query(`create or replace view credits.invoice_lines as ${leavingOut}`);
  });
  expect(found).toEqual([
    ['invoice_lines_sum_to_invoice', 'period 2024-03-01', '(5,0,1)', '(0,0,0)'],
    ['usage_equals_ledger', 'period 2024-03-01, api key , operation ', '(,,)', '(5,0,1)'],
  ]);
});
