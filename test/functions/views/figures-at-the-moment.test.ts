import { expect, test } from 'vitest';
import { call, grantAt, holdAt, settleAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { DAY, HOUR } from '../../support/time.ts';

// What views show between settlements, and that no account breaks them for others.
const db = useDatabase();
const now = () => Date.now() * 1000;
const largest = 2 ** 53 - 1;

const grantsOf = (account: string) =>
  db.query(
    `select state, remaining, held from credits.grants where account_id = $1 order by grant_id`,
    [account],
  );

test('credits.grants shows what is held and remains now, before and after anything settles it', async () => {
  const account = unique('account');
  const long = now() - 10 * DAY;
  await grantAt(db, account, long, { key: 'held', amount: 100 });
  await grantAt(db, account, long, { key: 'gone', amount: 7, expires: long + DAY, priority: 200 });
  const later = { key: 'later', amount: 30, effective: long + 2 * DAY, priority: 300 };
  await grantAt(db, account, long, later);
  await holdAt(db, account, long, { key: 'over', amount: 40 });
  await holdAt(db, account, long, { key: 'open', amount: 5, expiresIn: '20 days' });
  const expected = [
    { state: 'active', remaining: 100, held: 5 },
    { state: 'expired', remaining: 0, held: 0 },
    { state: 'active', remaining: 30, held: 0 },
  ];
  expect(await grantsOf(account)).toEqual(expected);
  await call(db, 'settle_account', { p_account_id: account });
  expect(await grantsOf(account)).toEqual(expected);
});

test('a period that has ended is open only as long as something due in it is not booked', async () => {
  const [idle, waiting] = [unique('idle'), unique('waiting')];
  const long = now() - 100 * DAY;
  await grantAt(db, idle, long, { key: 'g', amount: 10 });
  await holdAt(db, idle, long, { key: 'h', amount: 1, expiresIn: '300 days' });
  await grantAt(db, waiting, long, { key: 'g', amount: 10, expires: long + HOUR });
  const isOpen = async (account: string) =>
    (
      await db.query('select is_open from credits.invoice where account_id = $1 order by period', [
        account,
      ])
    )[0].is_open;
  expect([await isOpen(idle), await isOpen(waiting)]).toEqual([false, true]);
  await settleAt(db, waiting, now());
  expect(await isOpen(waiting)).toBe(false);
});

test('credits.accounts tells what was set, what is closed, and since when something is due', async () => {
  const account = unique('account');
  const settings = { p_unit: 'usd', p_scale: 6, p_time_zone: 'Asia/Tokyo', p_anchor_day: 15 };
  await call(db, 'open_account', { p_account_id: account, ...settings, p_metadata: { a: 1 } });
  const read = () => db.one('select * from credits.accounts where account_id = $1', [account]);
  expect(await read()).toMatchObject({
    unit: 'usd',
    scale: 6,
    time_zone: 'Asia/Tokyo',
    anchor_day: 15,
    opened_at: expect.any(Date),
    closed_at: null,
    metadata: { a: 1 },
  });
  expect((await read()).settled_until.getTime()).toBeGreaterThan(Date.now());
  await call(db, 'close_account', { p_account_id: account });
  expect((await read()).closed_at).toBeInstanceOf(Date);
});

test('more than 2^53 - 1 in all grants beside debt, held, or used in a period is refused with 22023', async () => {
  const account = unique('account');
  const on = (name: string, args: object) =>
    call(db, name, { p_account_id: account, p_idempotency_key: unique(), ...args });
  await call(db, 'open_account', { p_account_id: account, p_overdraft_limit: largest });
  await on('deduct_credits', { p_amount: largest, p_operation: 'x' });
  await on('grant_credits', { p_amount: largest, p_operations: ['x'] });
  const more = { p_amount: 1, p_operations: ['x'] };
  expect(await raised(on('grant_credits', more))).toMatchObject({ code: '22023' });
  expect(await raised(on('deduct_credits', { p_amount: 1, p_operation: 'x' }))).toMatchObject({
    code: '22023',
    detail: { account_id: account, argument: 'p_amount' },
  });
  await call(db, 'set_overdraft_limit', { p_account_id: account, p_overdraft_limit: largest });
  await on('hold_credits', { p_amount: largest, p_operation: 'x' });
  const { scoped, held } = await db.one(
    'select scoped, held from credits.remaining where account_id = $1',
    [account],
  );
  expect([scoped, held]).toEqual([0, largest]);
  expect(await discrepancies(db)).toEqual([]);
});

test('sums beyond bigint on one account break no view for other accounts', async () => {
  const whale = unique('whale');
  await db.query(
    `do $$ begin for n in 1..1026 loop
       perform credits.grant_credits('${whale}', 9007199254740991, 'g' || n);
       perform credits.deduct_credits('${whale}', 9007199254740991, 'd' || n, p_operation => 'op' || n);
     end loop; end $$`,
  );
  const views = ['invoice', 'invoice_lines', 'usage', 'remaining', 'grants', 'transactions'];
  for (const view of views) await db.query(`select count(*) from credits.${view}`);
  const of = 'select distinct account_id from credits.discrepancies';
  for (const { account_id } of await db.query(of)) expect(account_id).toBe(whale);
});

test('an account whose time zone is gone breaks no view for other accounts, and is found', async () => {
  const gone = unique('gone');
  const long = now() - 100 * DAY;
  await grantAt(db, gone, long, { key: 'g', amount: 5 });
  await db.query(
    `select credits_private.set_limit_at($1, 'day', 9, 'account', null, 'day', 0, now() - interval '99 days')`,
    [gone],
  );
  await db.query(
    `update credits_private.accounts set time_zone = 'US/Gone' where account_id = $1`,
    [gone],
  );
  for (const view of ['remaining', 'limits', 'invoice'])
    expect(
      await db.query(`select 1 from credits.${view} where account_id = $1`, [gone]),
    ).toHaveLength(1);
  const found = await db.query(
    'select invariant, subject, actual from credits.discrepancies where account_id = $1',
    [gone],
  );
  expect(found).toEqual([
    { invariant: 'every_account_can_be_settled', subject: 'time zone', actual: 'US/Gone' },
  ]);
});
