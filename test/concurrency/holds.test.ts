import { expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoDiscrepancies, ledger, type Racer, raceFor, times } from './race.ts';

const db = useDatabase();

const racer =
  (account: string, name: string, args: Record<string, unknown>): Racer =>
  (client) =>
    call(client, name, { p_account_id: account, ...args });
const hold = (account: string, amount: number, key = 'hold') =>
  racer(account, 'hold_credits', { p_amount: amount, p_idempotency_key: key });
const capture = (account: string, amount: number, key: string, final = true) =>
  racer(account, 'capture_hold', {
    p_hold_id: 1,
    p_amount: amount,
    p_idempotency_key: key,
    p_final: final,
  });
const release = (account: string, key: string) =>
  racer(account, 'release_hold', { p_hold_id: 1, p_idempotency_key: key });
const deduct = (account: string, amount: number, key: string) =>
  racer(account, 'deduct_credits', { p_amount: amount, p_idempotency_key: key });

/** An account with that many credits, some of them held. */
async function open(account: string, amount: number, held = 0): Promise<void> {
  const grant = { p_account_id: account, p_amount: amount, p_idempotency_key: 'grant' };
  await call(db, 'grant_credits', grant);
  if (held > 0) {
    const first = { p_account_id: account, p_amount: held, p_idempotency_key: 'first' };
    await call(db, 'hold_credits', first);
  }
}
const remaining = (account: string) =>
  db.one('select balance, held, available, calls from credits.remaining where account_id = $1', [
    account,
  ]);
const holds = (account: string) =>
  db.query('select state, held, captured from credits.holds where account_id = $1', [account]);

test('of twenty holds at once on credits for ten, ten succeed', async () => {
  await open('holds', 105);
  const { answers, errors } = await raceFor(
    db,
    'holds',
    times(20, (i) => hold('holds', 10, `hold ${i}`)),
  );
  expect(answers.map(({ hold_id }) => hold_id).sort((a, b) => a - b)).toEqual(
    times(10, (i) => i + 1),
  );
  expect(answers.map(({ available }) => available).sort((a, b) => b - a)).toEqual(
    times(10, (i) => 95 - 10 * i),
  );
  expect(errors.map(({ code, detail }) => [code, detail.available])).toEqual(
    times(10, () => ['PT402', 5]),
  );
  expect(await remaining('holds')).toEqual({ balance: 105, held: 100, available: 5, calls: 0 });
  await expectNoDiscrepancies(db);
});

test('of twenty final captures at once, one wins, and the others hear that it is captured', async () => {
  await open('finals', 100, 50);
  const { answers, errors } = await raceFor(
    db,
    'finals',
    times(20, (i) => capture('finals', 50, `capture ${i}`)),
  );
  expect(answers).toMatchObject([{ amount: 50, balance: 50, available: 50, held: 0 }]);
  expect(errors).toHaveLength(19);
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'PT410', constraint: 'a_hold_is_resolved_once' });
    expect(error.detail.state).toBe('captured');
  }
  expect(await ledger(db, 'finals')).toEqual(['grant 100', 'capture -50']);
  expect(await remaining('finals')).toMatchObject({ balance: 50, held: 0, calls: 1 });
  await expectNoDiscrepancies(db);
});

test('a release against a capture: one of them ends the hold, and the other hears how', async () => {
  await open('either', 100, 50);
  const { answers, errors } = await raceFor(db, 'either', [
    ...times(10, (i) => release('either', `release ${i}`)),
    ...times(10, (i) => capture('either', 20, `capture ${i}`)),
  ]);
  expect(answers).toHaveLength(1);
  const isCaptured = answers[0].amount === 20;
  expect(errors.map(({ code, detail }) => [code, detail.state])).toEqual(
    times(19, () => ['PT410', isCaptured ? 'captured' : 'released']),
  );
  expect(await holds('either')).toEqual([
    isCaptured
      ? { state: 'captured', held: 0, captured: 20 }
      : { state: 'released', held: 0, captured: 0 },
  ]);
  expect(await remaining('either')).toMatchObject({ available: isCaptured ? 80 : 100, held: 0 });
  await expectNoDiscrepancies(db);
});

test('captures in part at once never take more than there is', async () => {
  await open('parts', 100, 100);
  const { answers, errors } = await raceFor(
    db,
    'parts',
    times(20, (i) => capture('parts', 9, `capture ${i}`, false)),
  );
  expect(answers.map(({ held }) => held).sort((a, b) => b - a)).toEqual(
    times(11, (i) => 91 - 9 * i),
  );
  expect(errors.map(({ code, detail }) => [code, detail.requested, detail.available])).toEqual(
    times(9, () => ['PT402', 9, 1]),
  );
  expect(await holds('parts')).toEqual([{ state: 'open', held: 1, captured: 99 }]);
  await expectNoDiscrepancies(db);
});

test('captures in part beside a final one: no capture comes after the final one', async () => {
  await open('last', 1000, 200);
  const { answers, errors } = await raceFor(db, 'last', [
    ...times(10, (i) => capture('last', 9, `part ${i}`, false)),
    capture('last', 5, 'final'),
    ...times(9, (i) => capture('last', 9, `other ${i}`, false)),
  ]);
  const entries = await ledger(db, 'last');
  expect(entries).toEqual([
    'grant 1000',
    ...times(answers.length - 1, () => 'capture -9'),
    'capture -5',
  ]);
  expect(errors.map(({ code, detail }) => [code, detail.state])).toEqual(
    times(20 - answers.length, () => ['PT410', 'captured']),
  );
  expect(await remaining('last')).toMatchObject({ held: 0, calls: 1 });
  await expectNoDiscrepancies(db);
});

test('a hold and a deduction at once for the last credit: one of them gets it', async () => {
  for (const account of ['last 1', 'last 2', 'last 3']) {
    await open(account, 1);
    const { answers, errors } = await raceFor(db, account, [
      ...times(6, (i) => hold(account, 1, `hold ${i}`)),
      ...times(6, (i) => deduct(account, 1, `deduct ${i}`)),
    ]);
    expect(answers).toMatchObject([{ amount: 1, available: 0 }]);
    expect(errors.map(({ code, detail }) => [code, detail.available])).toEqual(
      times(11, () => ['PT402', 0]),
    );
    const isHeld = 'hold_id' in answers[0];
    expect(await remaining(account)).toEqual({
      balance: isHeld ? 1 : 0,
      held: isHeld ? 1 : 0,
      available: 0,
      calls: isHeld ? 0 : 1,
    });
  }
  await expectNoDiscrepancies(db);
});

test('what a release frees at once with deductions is spent by them, once', async () => {
  await open('freed', 100, 100);
  const { answers, errors } = await raceFor(db, 'freed', [
    ...times(10, (i) => deduct('freed', 20, `deduct ${i}`)),
    release('freed', 'release'),
    ...times(9, (i) => deduct('freed', 20, `other ${i}`)),
  ]);
  const spent = answers.length - 1;
  expect(spent).toBeLessThanOrEqual(5);
  expect(errors.every(({ code }) => code === 'PT402')).toBe(true);
  const left = 100 - 20 * spent;
  expect(await remaining('freed')).toEqual({
    balance: left,
    held: 0,
    available: left,
    calls: spent,
  });
  await expectNoDiscrepancies(db);
});

test.each<[string, (account: string) => Racer, string[]]>([
  ['hold', (account) => hold(account, 60), ['grant 100']],
  ['capture', (account) => capture(account, 30, 'shared'), ['grant 100', 'capture -30']],
  ['part', (account) => capture(account, 30, 'shared', false), ['grant 100', 'capture -30']],
  ['release', (account) => release(account, 'shared'), ['grant 100']],
])(
  'a %s with one key from twenty connections has one effect and one answer',
  async (name, make, entries) => {
    const account = `same ${name}`;
    // A second hold of 60 would not be possible, and is not asked for.
    await open(account, 100, name === 'hold' ? 0 : 40);
    const { answers, errors } = await raceFor(
      db,
      account,
      times(20, () => make(account)),
    );
    expect(errors).toEqual([]);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    const [answer] = answers;
    for (const other of answers) expect({ ...other, replayed: answer.replayed }).toEqual(answer);
    expect(await ledger(db, account)).toEqual(entries);
    expect(await holds(account)).toHaveLength(1);
    await expectNoDiscrepancies(db);
  },
);
