import { expect, test } from 'vitest';
import { callAt, deductAt, grantAt, settleAt } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { tamper } from '../support/discrepancies.ts';
import { DAY, HOUR, moment } from '../support/time.ts';

const db = useDatabase();
const now = Date.now() * 1000;
const settleDue = async (at: number, most = 100) =>
  (await callAt(db, 'settle_due', at, { p_max_accounts: most })).settle_due_at;
const found = (account: string) =>
  db.query(
    `select subject, actual from credits.discrepancies
     where account_id = $1 and invariant = 'every_account_can_be_settled' order by subject`,
    [account],
  );

/** A grant that was shortened by hand, to before what has been booked since. */
async function poison(account: string, at: number) {
  await grantAt(db, account, at - 2 * DAY, { key: 'g', amount: 100, expires: at + 30 * DAY });
  await deductAt(db, account, at - HOUR, { key: 'd', amount: 1 });
  const yesterday = `timestamptz '${moment(at - DAY)}'`;
  await tamper(
    db,
    'grants',
    `update credits_private.grants set expires_at = ${yesterday} where account_id = '${account}'`,
  );
  await tamper(
    db,
    'accounts',
    `update credits_private.accounts set due_at = ${yesterday} where account_id = '${account}'`,
  );
}

test('an account that cannot be settled is found before and after anybody tries', async () => {
  await poison('found', now);
  expect(await found('found')).toMatchObject([{ subject: 'grant 1 expires' }]);
  expect(await settleDue(now)).toBe(0);
  const [failed] = (await found('found')).filter(({ subject }) => /^failed 1 times/.test(subject));
  expect(failed.actual).toBe('23514: the ledger refuses this entry');
});

test('an account that cannot be settled stops no other, and is not the first again in every run', async () => {
  const later = now + DAY;
  await poison('poisoned', later);
  for (const account of ['healthy 1', 'healthy 2']) {
    const grant = { key: 'g', amount: 5, expires: later - HOUR };
    await grantAt(db, account, later - 2 * DAY, grant);
  }
  expect(await settleDue(later, 1)).toBe(1);
  expect(await settleDue(later, 1)).toBe(1);
  expect(await settleDue(later, 1)).toBe(0);
  const failures = async () =>
    (
      await db.one(
        `select failures from credits_private.settle_failures where account_id = 'poisoned'`,
      )
    ).failures;
  expect(await failures()).toBe(1);
  await settleDue(later + 59_000_000);
  expect(await failures()).toBe(1); // a minute's pause, then two, four, …
  await settleDue(later + 60_000_000);
  expect(await failures()).toBe(2);
  await settleDue(later + 179_000_000);
  expect(await failures()).toBe(2);
});

test('an account that can be settled again leaves no trace of having failed', async () => {
  const at = now + 2 * DAY;
  await poison('mended', at);
  await settleDue(at);
  const later = `timestamptz '${moment(at + DAY)}'`;
  await tamper(
    db,
    'grants',
    `update credits_private.grants set expires_at = ${later} where account_id = 'mended'`,
  );
  await settleAt(db, 'mended', at);
  expect(await found('mended')).toEqual([]);
});

test.each(['40001', '40P01'])(
  'an error %s ends settle_due, as the caller has to repeat it',
  async (code) => {
    const account = `raises ${code}`;
    const at = now + 3 * DAY;
    await grantAt(db, account, at - DAY, { key: 'g', amount: 5, expires: at });
    await db.query(
      `create or replace function public.refuse() returns trigger language plpgsql as $$
       begin raise exception 'not now' using errcode = '${code}'; end $$;
     create or replace trigger app_refuses before insert on credits_private.entries
       for each row when (new.account_id = '${account}') execute function public.refuse()`,
    );
    await expect(settleDue(at)).rejects.toMatchObject({ code });
    await db.query('drop trigger app_refuses on credits_private.entries');
    expect(await found(account)).toEqual([]);
  },
);
