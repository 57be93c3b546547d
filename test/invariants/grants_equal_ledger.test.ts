import { expect, test } from 'vitest';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeHistory } from '../support/history.ts';
import { insertEntry } from '../support/ledger.ts';

const db = useDatabase();

test('after any history, what remains of each grant is the sum of its entries', async () => {
  await Promise.all([1, 2, 3, 4].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const grants = await db.query(
    `select g.remaining, coalesce(sum(e.amount), 0)::bigint as ledger
     from credits_private.remainders as g
     left join credits.entries as e using (account_id, grant_id)
     group by g.account_id, g.grant_id, g.remaining`,
  );
  expect(grants.length).toBeGreaterThan(40);
  for (const { remaining, ledger } of grants) expect(remaining).toBe(ledger);
  expect(await discrepancies(db)).toEqual([]);
});

test('an entry that draws more than remains of its grant is refused, to the owner too', async () => {
  await db.query(
    `select credits.grant_credits('two', 10, '1'), credits.grant_credits('two', 10, '2')`,
  );
  const error = await raised(insertEntry(db, 'two', { grant_id: 2, amount: -11 }));
  expect(error).toMatchObject({ code: '23514', constraint: 'a_grant_is_never_overdrawn' });
  await insertEntry(db, 'two', { grant_id: 2, amount: -10 });
  const refund = { kind: 'refund', refunded_entry_id: 3, grant_id: 1, amount: 1 };
  expect(await raised(insertEntry(db, 'two', refund))).toMatchObject({
    code: '23514',
    constraint: 'a_grant_is_never_overdrawn',
  });
});

test('a grant remainder that was changed by hand is found', async () => {
  const change = `update credits_private.grants set remaining = 94
    where account_id = 'broken' and grant_id = 1`;
  expect(await findingsOf('grants', change)).toEqual([
    ['balance_equals_grants_less_debt', 'balance', '94', '95'],
    ['grants_equal_ledger', 'grant 1', '95', '94'],
  ]);
});

test('an entry that was moved to another grant is found at both', async () => {
  const change = `update credits_private.entries set grant_id = 2
    where account_id = 'broken' and entry_id = 4`;
  expect(await findingsOf('entries', change)).toEqual([
    ['grants_equal_ledger', 'grant 1', '105', '95'],
    ['grants_equal_ledger', 'grant 2', '-10', '0'],
    ['refunds_never_exceed_the_original', 'where entry 5 gives back', 'grant 2', 'grant 1'],
  ]);
});

test('what was taken back of a grant is the sum of its revocations', async () => {
  const taken = await db.query(
    `select g.taken, coalesce(-sum(e.amount), 0)::bigint as ledger
     from credits_private.grants as g
     left join credits.entries as e
       on e.account_id = g.account_id and e.revoked_grant_id = g.grant_id
     group by g.account_id, g.grant_id, g.taken`,
  );
  expect(taken.some((grant) => grant.taken > 0)).toBe(true);
  for (const grant of taken) expect(grant.taken).toBe(grant.ledger);
});

test('a figure of what was taken back that was changed by hand is found', async () => {
  const change = `update credits_private.grants set taken = 5
    where account_id = 'broken' and grant_id = 1`;
  expect(await findingsOf('grants', change)).toEqual([
    ['grants_equal_ledger', 'grant 1 taken', '0', '5'],
  ]);
});
