import { beforeEach, expect, test } from 'vitest';
import { type Arguments, call, callAt, unique } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { everything } from '../../support/ledger.ts';

const db = useDatabase();

let account: string;
beforeEach(() => {
  account = unique('account');
});

const open = (args: Arguments = {}) => call(db, 'open_account', { p_account_id: account, ...args });
const openAt = (at: string, args: Arguments = {}) =>
  callAt(db, 'open_account', at, { p_account_id: account, ...args });
const grantAt = (at: string, amount = 1) =>
  callAt(db, 'grant_credits', at, {
    p_account_id: account,
    p_amount: amount,
    p_idempotency_key: unique(),
  });
const settings = () =>
  db.one(
    `select s.unit, s.scale, a.overdraft_limit, s.time_zone, s.anchor_day, s.metadata
     from credits_private.accounts as a join credits.accounts as s using (account_id)
     where account_id = $1`,
    [account],
  );
const periods = async () =>
  (
    await db.query('select period from credits.entries where account_id = $1 order by entry_id', [
      account,
    ])
  ).map((row) => row.period);

const defaults = {
  unit: 'credit',
  scale: 0,
  overdraft_limit: 0,
  time_zone: 'UTC',
  anchor_day: 1,
  metadata: {},
};
const chosen = {
  p_unit: 'usd',
  p_scale: 2,
  p_overdraft_limit: 30,
  p_time_zone: 'Asia/Tokyo',
  p_anchor_day: 15,
  p_metadata: { plan: 'pro' },
};
const kept = {
  unit: 'usd',
  scale: 2,
  overdraft_limit: 30,
  time_zone: 'Asia/Tokyo',
  anchor_day: 15,
  metadata: { plan: 'pro' },
};

test('open_account and the first grant open an account with the same defaults', async () => {
  expect(await open()).toEqual({ account_id: account, balance: 0, available: 0 });
  expect(await settings()).toEqual(defaults);
  account = unique('account');
  await call(db, 'grant_credits', {
    p_account_id: account,
    p_amount: 5,
    p_idempotency_key: 'grant',
  });
  expect(await settings()).toEqual(defaults);
});

test('open_account opens an account with the settings that it is given', async () => {
  expect(await open(chosen)).toEqual({ account_id: account, balance: 0, available: 30 });
  expect(await settings()).toEqual(kept);
});

test('opening an account twice with the same settings is opening it once', async () => {
  const answer = await open(chosen);
  const before = await everything(db);
  expect(await open(chosen)).toEqual(answer);
  expect(await everything(db)).toBe(before);
});

test('open_account with nulls, or with nothing, changes nothing of an open account', async () => {
  await open(chosen);
  await open();
  await open(Object.fromEntries(Object.keys(chosen).map((key) => [key, null])));
  expect(await settings()).toEqual(kept);
});

test('open_account changes each setting alone', async () => {
  await open(chosen);
  const changes: [Arguments, object][] = [
    [{ p_unit: 'eur' }, { unit: 'eur' }],
    [{ p_scale: 4 }, { scale: 4 }],
    [{ p_overdraft_limit: 0 }, { overdraft_limit: 0 }],
    [{ p_time_zone: 'America/New_York' }, { time_zone: 'America/New_York' }],
    [{ p_anchor_day: 31 }, { anchor_day: 31 }],
    [{ p_metadata: {} }, { metadata: {} }],
  ];
  let expected = { ...kept };
  for (const [args, change] of changes) {
    await open(args);
    expected = { ...expected, ...change };
    expect(await settings()).toEqual(expected);
  }
});

test.each([
  'America/North_Dakota/New_Salem',
  'America/Port-au-Prince',
  'Antarctica/DumontDUrville',
  'Etc/GMT+5',
  'UTC',
])('%s is a time zone', async (zone) => {
  await open({ p_time_zone: zone });
  expect(await settings()).toMatchObject({ time_zone: zone });
});

test('unit and scale may be repeated after the first entry', async () => {
  await open(chosen);
  await grantAt('2024-01-01Z');
  await open({ p_unit: 'usd', p_scale: 2 });
  expect(await settings()).toEqual(kept);
});

test('open_account answers with the balance, and with what is available without an operation', async () => {
  const grant = { p_account_id: account, p_amount: 5, p_idempotency_key: 'scoped' };
  await call(db, 'grant_credits', { ...grant, p_operations: ['search'] });
  await call(db, 'grant_credits', { ...grant, p_idempotency_key: 'unscoped' });
  expect(await open()).toEqual({ account_id: account, balance: 10, available: 5 });
});

test('another anchor day counts from the next period on', async () => {
  await openAt('2024-01-10Z');
  await openAt('2024-01-20Z', { p_anchor_day: 15 });
  for (const at of ['2024-01-31', '2024-02-01', '2024-02-14', '2024-02-15', '2024-03-14']) {
    await grantAt(`${at}Z`);
  }
  const [january, february, anchored] = ['2024-01-01', '2024-02-01', '2024-02-15'];
  expect(await periods()).toEqual([january, february, february, anchored, anchored]);
  expect(await discrepancies(db)).toEqual([]);
});

test('another time zone counts from the next period on', async () => {
  await openAt('2024-01-10Z');
  await openAt('2024-01-20Z', { p_time_zone: 'Asia/Tokyo' }); // nine hours ahead
  await grantAt('2024-01-31 23:59Z');
  await grantAt('2024-02-01Z');
  await grantAt('2024-02-29 14:59Z');
  await grantAt('2024-02-29 15:00Z');
  expect(await periods()).toEqual(['2024-01-01', '2024-02-01', '2024-02-01', '2024-03-01']);
});

test('open_account settles what is due before it changes a setting', async () => {
  await openAt('2024-01-10Z');
  await openAt('2024-03-20Z', { p_anchor_day: 15 });
  await grantAt('2024-03-31Z');
  await grantAt('2024-04-01Z');
  expect(await periods()).toEqual(['2024-03-01', '2024-04-01']);
});
