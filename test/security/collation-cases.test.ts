import type pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import { login } from './sessions.ts';
import { createStateFunction, stateOf } from './state.ts';

// Calls as somebody would make them with a collation of their own, or an app with its column's.
const db = useDatabase();
let spender: pg.Client;
let granter: pg.Client;

const loose = `create collation pg_temp.loose
  (provider = icu, locale = 'und-u-ks-level1-ka-shifted', deterministic = false)`;

beforeAll(async () => {
  await createStateFunction(db);
  for (const account of ['Team-1', 'alice', 'BOB'])
    await db.query(`select credits.grant_credits($1, 100, 'grant')`, [account]);
  await db.query(`select credits.grant_credits('bob', 1000, 'grant')`);
  await db.query(`select credits.hold_credits('Team-1', 40, 'hold', '1 hour')`);
  spender = await login(db, 'credits_spender');
  granter = await login(db, 'credits_granter');
  for (const client of [spender, granter]) await client.query(loose);
});

const ask = async (client: pg.Client, call: string) =>
  (await client.query(`select * from credits.${call}`)).rows[0];

describe('a spender who cannot name Team-1', () => {
  test.each([
    `available_for('TEAM1' collate pg_temp.loose)`,
    `deduct_credits('tEaM 1' collate pg_temp.loose, 60, 'x1')`,
    `hold_credits('tEaM 1' collate pg_temp.loose, 60, 'x1')`,
    `extend_hold('TEAM1' collate pg_temp.loose, 1, '10 years')`,
    `capture_hold('team1' collate pg_temp.loose, 1, 40, 'x3')`,
    `release_hold('team1' collate pg_temp.loose, 1, 'x4')`,
  ])('finds no account by %s', async (call) => {
    const before = await stateOf(spender);
    expect(await raised(ask(spender, call))).toMatchObject({ code: 'PT404' });
    expect(await stateOf(spender)).toEqual(before);
  });
});

describe('of two accounts whose names differ in case', () => {
  test('each spends its own', async () => {
    const spend = (account: string, amount: number) =>
      ask(spender, `deduct_credits('${account}' collate pg_temp.loose, ${amount}, 'spent')`);
    expect(await spend('bob', 150)).toMatchObject({ balance: '850', replayed: false });
    expect(await spend('BOB', 10)).toMatchObject({ balance: '90', replayed: false });
    for (const [account, available] of Object.entries({ bob: '850', BOB: '90' }))
      expect(await ask(spender, `available_for('${account}' collate pg_temp.loose)`)).toEqual({
        available_for: available,
      });
  });

  test('one is closed', async () => {
    await ask(granter, `close_account('BOB' collate pg_temp.loose)`);
    expect(
      await db.query(`select account_id, closed_at is not null as closed
        from credits_private.accounts where account_id ilike 'bob' order by account_id collate "C"`),
    ).toEqual([
      { account_id: 'BOB', closed: true },
      { account_id: 'bob', closed: false },
    ]);
  });

  test('one that does not exist is not forgotten', async () => {
    const forgotten = ask(granter, `forget_account('ALICE' collate pg_temp.loose)`);
    expect(await raised(forgotten)).toMatchObject({ code: 'PT404' });
  });
});

test('keys that differ in case are two keys', async () => {
  for (const [id, key] of ['kEY', 'KEY'].entries()) {
    const account = `'alice' collate pg_temp.loose`;
    expect(await ask(spender, `hold_credits(${account}, 5, '${key}')`)).toMatchObject({
      hold_id: String(id + 1),
      replayed: false,
    });
    expect(await ask(spender, `deduct_credits(${account}, 5, 'spent ${key}')`)).toMatchObject({
      transaction_id: String(id + 2),
      replayed: false,
    });
  }
});

test('a word of ours in capitals is none of ours', async () => {
  const limit = ask(granter, `set_limit('alice', 'l', 10, 'ACCOUNT' collate pg_temp.loose)`);
  expect(await raised(limit)).toMatchObject({ code: '22023', detail: { argument: 'p_scope' } });
  const unit = ask(granter, `open_account('alice', 'CREDIT' collate pg_temp.loose)`);
  expect(await raised(unit)).toMatchObject({ code: 'PT409', detail: { unit: 'credit' } });
});

test('ids from columns of different collations make one call', async () => {
  const { rows } = await spender.query(`
    select d.balance from (values ('bob' collate "C", 'from columns' collate "POSIX")) as o (id, key),
      credits.deduct_credits(o.id, 50, o.key) as d`);
  expect(rows).toEqual([{ balance: '800' }]);
});

test('after ids in every collation, every promise holds', async () => {
  expect(await discrepancies(db)).toEqual([]);
});
