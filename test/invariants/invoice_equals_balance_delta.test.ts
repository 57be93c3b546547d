import { expect, test } from 'vitest';
import { captureAt, grantAt, holdAt, overdraftAt, revokeAt } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { balanceOf } from '../support/ledger.ts';
import { us } from '../support/time.ts';

const db = useDatabase();

test('after any history, each invoice leads from the one before it to the balance', async () => {
  for (const seed of [31, 32, 33, 34]) {
    const account = `history ${seed}`;
    await writeHistory(db, account, seed, { steps: 80 });
    const invoices = await db.query(
      'select * from credits.invoice where account_id = $1 order by period',
      [account],
    );
    expect(invoices.length).toBeGreaterThan(2);
    let balance = 0;
    for (const invoice of invoices) {
      expect(invoice.opening_balance).toBe(balance);
      balance += invoice.credits_granted - invoice.credits_used + invoice.credits_refunded;
      balance -= invoice.credits_expired + invoice.credits_revoked;
      expect(invoice.closing_balance).toBe(balance);
      expect(invoice.net_used).toBe(invoice.credits_used - invoice.credits_refunded);
    }
    expect(balance).toBe(await balanceOf(db, account));
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('an invoice shows grants, usage, refunds and expiries, each in its period', async () => {
  await writeSample(db, 'sample');
  const invoices = await db.query(
    `select period, opening_balance, credits_granted, credits_used, credits_refunded,
       credits_expired, closing_balance, net_used, calls, is_open
     from credits.invoice where account_id = 'sample' order by period`,
  );
  expect(invoices.map((invoice) => Object.values(invoice))).toEqual([
    ['2024-01-01', 0, 150, 60, 20, 0, 110, 40, 1, false],
    ['2024-02-01', 110, 0, 0, 0, 10, 100, 0, 0, false],
    ['2024-03-01', 100, 0, 5, 0, 0, 95, 5, 1, false], // long over
  ]);
});

test('an invoice shows captures as usage, a revocation, and nothing of a hold or a repayment', async () => {
  const day = us('2024-01-10T00:00:00Z');
  await grantAt(db, 'run', day, { key: 'grant', amount: 100 });
  await overdraftAt(db, 'run', day, 50);
  const { hold_id } = await holdAt(db, 'run', day, { key: 'hold', amount: 120 });
  await captureAt(db, 'run', day, { key: '1', hold: hold_id, amount: 70, final: false });
  await captureAt(db, 'run', day, { key: '2', hold: hold_id, amount: 40 }); // 10 of it are debt
  await holdAt(db, 'run', day, { key: 'open', amount: 5 });
  await grantAt(db, 'run', day, { key: 'repays', amount: 30 });
  await revokeAt(db, 'run', day, { key: 'revoke', grant: 2, amount: 8 });
  const invoices = await db.query(
    `select opening_balance, credits_granted, credits_used, credits_refunded, credits_expired,
       credits_revoked, closing_balance, net_used, calls
     from credits.invoice where account_id = 'run'`,
  );
  expect(invoices.map((invoice) => Object.values(invoice))).toEqual([
    [0, 130, 110, 0, 0, 8, 12, 110, 1],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('an entry with a changed amount is found', async () => {
  const change = `update credits_private.entries set amount = -11
    where account_id = 'broken' and entry_id = 4`;
  expect(await findingsOf('entries', change)).toEqual([
    ['balance_equals_ledger', 'balance', '94', '95'],
    ['entries_are_immutable', 'entry 4', '89', '90'],
    ['grants_equal_ledger', 'grant 1', '94', '95'],
    ['invoice_equals_balance_delta', 'period 2024-01-01', '110', '109'],
    [
      'usage_equals_ledger',
      'period 2024-01-01, api key key a, operation search',
      '(61,20,1)',
      '(60,20,1)',
    ],
  ]);
});
