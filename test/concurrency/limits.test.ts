import { expect, test } from 'vitest';
import { type Arguments, call } from '../support/calls.ts';
import { type Raised, useDatabase } from '../support/database.ts';
import { counters } from '../support/limits.ts';
import { noon } from '../support/time.ts';
import { expectNoDiscrepancies, ledger, type Outcome, type Racer, raceFor, times } from './race.ts';

const db = useDatabase();

/** An account with credits, and a limit that has counted nothing yet. */
async function limited(account: string, credits: number, limit: Arguments): Promise<void> {
  const on = (name: string, args: Arguments) => call(db, name, { p_account_id: account, ...args });
  await on('open_account', { p_time_zone: noon() });
  await on('grant_credits', { p_amount: credits, p_idempotency_key: 'grant' });
  await on('set_limit', { p_limit_id: 'limit', ...limit });
  expect(await counters(db, account)).toEqual([]);
}

const spend =
  (name: 'deduct_credits' | 'hold_credits', account: string, args: Arguments = {}) =>
  (i: number): Racer =>
  (client) =>
    call(client, name, {
      p_account_id: account,
      p_amount: 10,
      p_idempotency_key: `${name} ${JSON.stringify(args)} ${i}`,
      ...args,
    });

const figures = ({ code, constraint, detail }: Raised) => [
  code,
  constraint,
  detail.spent,
  detail.reserved,
  detail.remaining,
];
const refused = (count: number, spent: number, reserved: number, remaining: number) =>
  times(count, () => ['PT429', 'limits_are_never_passed', spent, reserved, remaining]);

const spentOf = async (account: string) =>
  (await counters(db, account)).map((row) => [row[2], row[3]]);

test('of many calls at once in a run that has spent nothing yet, as many succeed as its limit allows', async () => {
  await limited('run', 1000, { p_ceiling: 75, p_scope: 'run', p_window: 'total' });
  const run = { p_run_id: 'first ever' };
  const { answers, errors } = await raceFor(
    db,
    'run',
    times(20, spend('deduct_credits', 'run', run)),
  );
  expect(answers).toHaveLength(7);
  expect(errors.map(figures)).toEqual(refused(13, 70, 0, 5));
  expect(await spentOf('run')).toEqual([['first ever', 70]]);
  expect(await ledger(db, 'run')).toEqual(['grant 1000', ...times(7, () => 'deduction -10')]);
  await expectNoDiscrepancies(db);
});

test('of many calls at once at each of three API keys, each key gets what it may spend in a day', async () => {
  await limited('keys', 1000, { p_ceiling: 39, p_scope: 'api_key', p_window: 'day' });
  const keys = ['a', 'b', 'c'];
  const { answers, errors } = await raceFor(
    db,
    'keys',
    times(24, (i) => spend('deduct_credits', 'keys', { p_api_key_id: keys[i % 3] })(i)),
  );
  expect(answers).toHaveLength(9);
  expect(errors.map(figures)).toEqual(refused(15, 30, 0, 9));
  expect(await spentOf('keys')).toEqual(keys.map((key) => [key, 30]));
  await expectNoDiscrepancies(db);
});

test('of many calls at once at different API keys, the account as a whole spends what it may', async () => {
  await limited('whole', 1000, { p_ceiling: 115, p_overage: 5 });
  const { answers, errors } = await raceFor(
    db,
    'whole',
    times(20, (i) => spend('deduct_credits', 'whole', { p_api_key_id: `key ${i}` })(i)),
  );
  expect(answers).toHaveLength(12);
  expect(answers.filter((answer) => answer.exceeded_limits?.[0] === 'limit')).toHaveLength(1);
  expect(errors.map(figures)).toEqual(refused(8, 120, 0, 0));
  expect(await spentOf('whole')).toEqual([['', 120]]);
  await expectNoDiscrepancies(db);
});

test('holds and deductions at once share what a limit leaves', async () => {
  await limited('mixed', 1000, { p_ceiling: 105, p_scope: 'operation' });
  const search = { p_operation: 'search' };
  const { answers, errors } = await raceFor(db, 'mixed', [
    ...times(10, spend('hold_credits', 'mixed', search)),
    ...times(10, spend('deduct_credits', 'mixed', search)),
  ]);
  const held = answers.filter((answer) => 'hold_id' in answer).length;
  expect(answers).toHaveLength(10);
  const left = refused(10, 100 - 10 * held, 10 * held, 5);
  expect(errors.map(figures)).toEqual(left);
  const limit = `select spent, reserved, remaining from credits.limits where account_id = 'mixed'`;
  expect(await db.one(limit)).toEqual({
    spent: 100 - 10 * held,
    reserved: 10 * held,
    remaining: 5,
  });
  await expectNoDiscrepancies(db);
});

test('a limit and the balance that run out together: all who come too late hear of the limit', async () => {
  await limited('together', 100, { p_ceiling: 100 });
  const { answers, errors } = await raceFor(
    db,
    'together',
    times(20, spend('deduct_credits', 'together')),
  );
  expect(answers.map((answer) => answer.balance).sort((a, b) => b - a)).toEqual(
    times(10, (i) => 90 - 10 * i),
  );
  expect(errors.map(figures)).toEqual(refused(10, 100, 0, 0));
  await expectNoDiscrepancies(db);
});

test('a balance that runs out before the limit is a shortage, and the limit counts what was spent', async () => {
  await limited('sooner', 100, { p_ceiling: 110 });
  const { answers, errors }: Outcome = await raceFor(
    db,
    'sooner',
    times(20, spend('deduct_credits', 'sooner')),
  );
  expect(answers).toHaveLength(10);
  expect(errors.map(({ code, detail }) => [code, detail.available])).toEqual(
    times(10, () => ['PT402', 0]),
  );
  expect(await spentOf('sooner')).toEqual([['', 100]]);
  await expectNoDiscrepancies(db);
});
