import { beforeAll, expect, test } from 'vitest';
import {
  captureAt,
  deductAt,
  grantAt,
  holdAt,
  overdraftAt,
  refundAt,
  revokeAt,
} from '../../support/calls.ts';
import { asRole, raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';
import { DAY, moment, us } from '../../support/time.ts';

const db = useDatabase();
const start = us('2024-01-10T00:00:00Z');

const explain = (account: string, at: number | null = null, now: number | null = null) =>
  db.query(
    `select grant_id, source, kind, api_key_id, operation, amount, held, entries
     from credits_private.explain_balance_at($1, $2, $3)`,
    [account, at && moment(at), now && moment(now)],
  );
type Row = Awaited<ReturnType<typeof explain>>[number];
const short = (rows: Row[]) =>
  rows.map((row) => [
    row.grant_id,
    row.source,
    row.kind,
    row.api_key_id,
    row.operation,
    row.amount,
    row.held,
    row.entries,
  ]);

async function writeAcme(account: string): Promise<void> {
  const at = (day: number) => start + day * DAY;
  const search = { apiKey: 'key a', operation: 'search' };
  await grantAt(db, account, at(0), { key: '1', amount: 20, source: 'plan', expires: at(9) });
  await grantAt(db, account, at(0), { key: '2', amount: 30 });
  await overdraftAt(db, account, at(0), 50);
  await deductAt(db, account, at(1), { key: '3', amount: 10, ...search });
  await deductAt(db, account, at(1), { key: '4', amount: 5, ...search });
  await holdAt(db, account, at(2), {
    key: '5',
    amount: 9,
    operation: 'execute',
    expiresIn: '5 days',
  });
  await captureAt(db, account, at(3), { key: '6', hold: 1, amount: 4, final: false });
  await refundAt(db, account, at(4), { key: '7', transaction: 3, amount: 2 });
  await revokeAt(db, account, at(5), { key: '8', grant: 2, amount: 8 });
  await deductAt(db, account, at(6), { key: '9', amount: 33 });
  // The rest of the hold returns on the seventh day, and 5 of it repay debt.
}
beforeAll(() => writeAcme('acme'));

test('explain_balance traces every credit: grant by grant, what came, what it went on, what is held', async () => {
  const explained = await explain('acme', start + 6 * DAY);
  expect(short(explained)).toEqual([
    [1, 'plan', 'grant', null, null, 20, 0, 1],
    [1, 'plan', 'deduction', 'key a', 'search', -15, 0, 2],
    [1, 'plan', 'capture', null, 'execute', -4, 0, 1],
    [1, 'plan', 'refund', 'key a', 'search', 2, 0, 1],
    [1, 'plan', 'deduction', null, null, -2, 0, 1],
    [1, 'plan', 'hold', null, 'execute', 0, 1, 0],
    [2, 'purchase', 'grant', null, null, 30, 0, 1],
    [2, 'purchase', 'revocation', null, null, -8, 0, 1],
    [2, 'purchase', 'deduction', null, null, -18, 0, 1],
    [2, 'purchase', 'hold', null, 'execute', 0, 4, 0],
    [null, null, 'deduction', null, null, -13, 0, 1],
  ]);
});

test('explain_balance as of a moment shows nothing that came after it', async () => {
  const at = async (moment: number) => short(await explain('acme', moment));
  expect(await at(start - 1)).toEqual([]);
  expect(await at(start)).toHaveLength(2);
  expect((await at(start + DAY)).filter(([, , kind]) => kind === 'deduction')).toEqual([
    [1, 'plan', 'deduction', 'key a', 'search', -15, 0, 2],
  ]);
  const held = async (moment: number) =>
    (await explain('acme', moment)).reduce((sum, row) => sum + row.held, 0);
  const day = (n: number) => start + n * DAY;
  expect(await Promise.all([day(2) - 1, day(2), day(3), day(7) - 1, day(7)].map(held))).toEqual([
    0, 9, 5, 5, 0,
  ]);
});

test('explain_balance books what is due and explains it, and the past reads the same before and after', async () => {
  await writeAcme('due');
  const now = start + 12 * DAY;
  const grant = { key: 'then', amount: 9, effective: start + 8 * DAY };
  await grantAt(db, 'due', start + 6 * DAY, grant);
  const past = await explain('due', start + 6 * DAY, start + 6 * DAY);
  const explained = short(await explain('due', null, now));
  expect(explained.filter(([, , kind]) => kind === 'repay' || kind === 'hold')).toEqual([
    [1, 'plan', 'repay', null, null, -1, 0, 1],
    [2, 'purchase', 'repay', null, null, -4, 0, 1],
    [3, 'purchase', 'repay', null, null, -8, 0, 1],
    [null, null, 'repay', null, null, 13, 0, 3],
  ]);
  expect(await explain('due', start + 6 * DAY)).toEqual(past);
  expect(await discrepancies(db)).toEqual([]);
});

test('an auditor may call explain_balance, which books nothing in a read-only transaction', async () => {
  await grantAt(db, 'read', start, { key: 'grant', amount: 5, expires: start + DAY });
  const auditor = await asRole(db, 'credits_auditor');
  const call = `select kind, amount from credits.explain_balance('read')`;
  const granted = { kind: 'grant', amount: 5 };
  const before = await everything(db);
  await auditor.query('begin read only');
  expect((await auditor.query(call)).rows).toEqual([granted]);
  await auditor.query('commit');
  expect(await everything(db)).toBe(before);
  expect((await auditor.query(call)).rows).toEqual([granted, { kind: 'expiry', amount: -5 }]);
  const then = `select kind from credits.explain_balance('read', '2024-01-10 23:59:59.999999Z')`;
  expect((await auditor.query(then)).rows).toEqual([{ kind: 'grant' }]);
  expect(await discrepancies(db)).toEqual([]);
});

test('explain_balance refuses a moment of the future, by whichever clock', async () => {
  const future = db.query(
    `select credits.explain_balance('acme', clock_timestamp() + interval '1 minute')`,
  );
  expect(await raised(future)).toMatchObject({
    code: '22023',
    detail: { account_id: 'acme', argument: 'p_at' },
  });
  expect(await raised(explain('acme', start + 1, start))).toMatchObject({ code: '22023' });
});
