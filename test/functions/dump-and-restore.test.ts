import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { beforeAll, expect, inject, test } from 'vitest';
import { verify } from '../../scripts/lib/examine.ts';
import { withClient } from '../support/connection.ts';
import { createDatabase, type Database, raised, useDatabase } from '../support/database.ts';
import { call, callAt, discrepancies, everything, unique } from './calls.ts';

const db = useDatabase();

/** Why this cannot be tested here; pg_dump has to be of the server's major version. */
function whyNot(): string | undefined {
  const { stdout, error } = spawnSync('pg_dump', ['--version'], { encoding: 'utf8' });
  if (error) return 'there is no pg_dump here';
  const major = Number(/ (\d+)/.exec(stdout)?.[1]);
  return major === inject('major') ? undefined : `pg_dump is ${major}, not ${inject('major')}`;
}

async function restoreInto(target: Database): Promise<void> {
  const dump = spawn('pg_dump', [db.url]);
  const psql = spawn('psql', ['-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-d', target.url]);
  dump.stdout.pipe(psql.stdin);
  psql.stdout.resume();
  const errors = Promise.all([text(dump.stderr), text(psql.stderr)]);
  const codes = (await Promise.all([once(dump, 'close'), once(psql, 'close')])).map(
    ([code]) => code,
  );
  expect([await errors, codes]).toEqual([
    ['', ''],
    [0, 0],
  ]);
}

const acme = { p_account_id: 'acme' };
const run = { p_account_id: 'run' };
beforeAll(async () => {
  const at = '2024-01-01Z';
  const grant = { ...acme, p_amount: 100, p_idempotency_key: unique() };
  await callAt(db, 'grant_credits', at, { ...grant, p_expires_at: '2024-02-01Z' });
  await call(db, 'grant_credits', { ...grant, p_idempotency_key: 'grant', p_operations: ['a'] });
  const deduct = { ...acme, p_amount: 40, p_idempotency_key: 'deduct', p_operation: 'a' };
  const { transaction_id } = await call(db, 'deduct_credits', deduct);
  const refund = { ...acme, p_transaction_id: transaction_id, p_idempotency_key: 'refund' };
  await call(db, 'refund_credits', { ...refund, p_amount: 5 });

  // A hold of 20 of which 5 are captured, a limit, a debt of 7, and a grant that is to come.
  await call(db, 'grant_credits', { ...run, p_amount: 20, p_idempotency_key: 'grant' });
  await call(db, 'hold_credits', { ...run, p_amount: 20, p_idempotency_key: 'hold' });
  const capture = { p_hold_id: 1, p_amount: 5, p_final: false, p_idempotency_key: 'part' };
  await call(db, 'capture_hold', { ...run, ...capture });
  await call(db, 'set_limit', { ...run, p_limit_id: 'all', p_ceiling: 40 });
  await call(db, 'set_overdraft_limit', { ...run, p_overdraft_limit: 10 });
  await call(db, 'deduct_credits', { ...run, p_amount: 7, p_idempotency_key: 'debt' });
  const scheduled = { p_effective_at: '2100-01-01Z', p_idempotency_key: 'scheduled' };
  await call(db, 'grant_credits', { ...run, ...scheduled, p_amount: 9 });
});

const findings = (target: Database) =>
  withClient(target.url, (client) => verify(client, { rolePrefix: target.rolePrefix }));

test('a full dump restores, to a database that holds every promise', async (context) => {
  const reason = whyNot();
  if (reason) return context.skip(reason);
  const target = await createDatabase({ empty: true });
  try {
    await restoreInto(target);
    expect(await everything(target)).toBe(await everything(db));
    expect(await findings(db)).toEqual([]);
    expect(await findings(target)).toEqual([]);

    // It goes on: replays are known, figures move on, guards stand.
    const deduct = { ...acme, p_amount: 40, p_idempotency_key: 'deduct', p_operation: 'a' };
    expect(await call(target, 'deduct_credits', deduct)).toMatchObject({
      balance: 60,
      replayed: true,
    });
    expect(
      await call(target, 'deduct_credits', { ...deduct, p_idempotency_key: 'new' }),
    ).toMatchObject({ balance: 25, replayed: false });
    const capture = { ...run, p_hold_id: 1, p_idempotency_key: 'final' };
    expect(await raised(call(target, 'capture_hold', { ...capture, p_amount: 19 }))).toMatchObject({
      code: 'PT402',
      detail: { available: 18 },
    });
    expect(await call(target, 'capture_hold', { ...capture, p_amount: 16 })).toMatchObject({
      balance: -8,
      available: 2,
    });
    const grant = { ...run, p_amount: 9, p_idempotency_key: 'repays' };
    expect(await call(target, 'grant_credits', grant)).toMatchObject({ balance: 1, repaid: 8 });
    expect(await raised(target.query('delete from credits_private.entries'))).toMatchObject({
      code: '23514',
      constraint: 'entries_are_immutable',
    });
    expect(await discrepancies(target)).toEqual([]);
  } finally {
    await target.drop();
  }
});

test('what a dump writes of each view is the same view when it is restored', async () => {
  // Of any server, without pg_dump: it writes what pg_get_viewdef says.
  const views = await db.query(
    `select oid::regclass::text as name from pg_class
     where relnamespace = 'credits'::regnamespace and relkind = 'v'`,
  );
  const definition = async (name: string): Promise<string> =>
    (await db.one('select pg_get_viewdef($1::regclass) as text', [name])).text;
  const changed: string[] = [];
  for (const { name } of views) {
    const before = await definition(name);
    await db.query(`create or replace view ${name} as ${before}`);
    if ((await definition(name)) !== before) changed.push(name);
  }
  expect(changed).toEqual([]);
});
