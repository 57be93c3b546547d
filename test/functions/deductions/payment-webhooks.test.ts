import { expect, test } from 'vitest';
import { type Arguments, call } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { entriesOf } from '../../support/ledger.ts';

// How an app listens to a provider of payments that delivers each event at least once, in any order:
// every handler grants first, with the payment's id as the key.
const db = useDatabase();

const handlers = (account: string) => {
  const on = (name: string, args: Arguments) => call(db, name, { p_account_id: account, ...args });
  const paid = () =>
    on('grant_credits', {
      p_amount: 500,
      p_idempotency_key: 'pay_1',
      p_paid_amount: 4900,
      p_paid_currency: 'EUR',
    });
  const takeBack = async (event: string, amount: number | null, onSpent = 'clamp') => {
    const { grant_id } = await paid();
    return on('revoke_grant', {
      p_grant_id: grant_id,
      p_idempotency_key: event,
      p_amount: amount,
      p_on_spent: onSpent,
    });
  };
  const spend = (amount: number) =>
    on('deduct_credits', { p_amount: amount, p_idempotency_key: `spend ${amount}` });
  return { paid, takeBack, spend };
};

test('webhooks of a payment and its refund, each replayed, take the refund back once', async () => {
  const { paid, takeBack, spend } = handlers('in order');
  const first = await paid();
  await spend(100);
  const refund = await takeBack('re_1', 200);
  expect(refund).toMatchObject({ grant_id: first.grant_id, amount: 200, balance: 200 });
  expect(await paid()).toEqual({ ...first, replayed: true });
  expect(await takeBack('re_1', 200)).toEqual({ ...refund, replayed: true });
  expect(await entriesOf(db, 'in order')).toEqual([
    ['grant', 500, 1],
    ['deduction', -100, 1],
    ['revocation', -200, 1],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a refund that arrives before its payment leaves nothing, and the payment is a replay then', async () => {
  const { paid, takeBack, spend } = handlers('disorder');
  expect(await takeBack('re_1', null)).toMatchObject({
    grant_id: 1,
    amount: 500,
    balance: 0,
    replayed: false,
  });
  expect(await paid()).toMatchObject({ grant_id: 1, amount: 500, replayed: true });
  await expect(spend(1)).rejects.toMatchObject({ code: 'PT402' });
  expect(await entriesOf(db, 'disorder')).toEqual([
    ['grant', 500, 1],
    ['revocation', -500, 1],
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

test('a refund and a dispute of one payment, in any order, with replays, take back once', async () => {
  const events = ['pay_1', 're_1', 'dp_1', 're_1', 'pay_1', 'dp_1', 'pay_1'];
  for (let turn = 0; turn < events.length; turn += 1) {
    const account = `turn ${turn}`;
    const { paid, takeBack } = handlers(account);
    for (const event of [...events.slice(turn), ...events.slice(0, turn)]) {
      if (event === 'pay_1') await paid();
      if (event === 're_1') await takeBack('re_1', 200);
      if (event === 'dp_1') await takeBack('dp_1', null, 'debt');
    }
    const taken = (await entriesOf(db, account)).filter(([kind]) => kind === 'revocation');
    expect(taken.reduce((sum, [, amount]) => sum + amount, 0)).toBe(-500);
  }
  expect(await discrepancies(db)).toEqual([]);
});

test('one refund webhook on many connections at once is taken back once', async () => {
  const { takeBack, spend, paid } = handlers('at once');
  await paid();
  await spend(100);
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => takeBack('re_1', null, 'debt')),
  );
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
  for (const answer of answers) expect(answer).toMatchObject({ amount: 500, balance: -100 });
  expect(await discrepancies(db)).toEqual([]);
});
