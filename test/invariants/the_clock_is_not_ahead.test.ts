import { expect, test } from 'vitest';
import { deductAt, grantAt } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { DAY } from '../support/time.ts';

const db = useDatabase();
const now = Date.now() * 1000;

const found = (account: string) =>
  db.query(
    `select invariant, subject from credits.discrepancies where account_id = $1
     order by invariant`,
    [account],
  );

test('an account that a call reached while the clock was ahead is found, and no other', async () => {
  for (const account of ['ahead', 'right'])
    await grantAt(db, account, now, { key: 'g', amount: 9 });
  expect(await found('ahead')).toEqual([]);
  await deductAt(db, 'ahead', now + 365 * DAY, { key: 'jump', amount: 1 });
  expect(await found('ahead')).toEqual([
    { invariant: 'the_clock_is_not_ahead', subject: 'last_created_at' },
  ]);
  expect(await found('right')).toEqual([]);
});

test('calls on an account that is ahead of the clock go on, at the moment that it has reached', async () => {
  const deduct = `select balance from credits.deduct_credits('ahead', 1, 'after')`;
  expect(await db.one(deduct)).toEqual({ balance: 7 });
  const { late } = await db.one(
    `select count(*) filter (where effective_at > now() + interval '300 days')::int as late
     from credits.entries where account_id = 'ahead'`,
  );
  expect(late).toBe(2);
});
