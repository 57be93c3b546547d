import { beforeEach, expect, test } from 'vitest';
import { deductAt, grantAt, holdAt, refundAt, settleAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { randomNumbers } from '../../support/random.ts';
import { DAY, HOUR, moment, us } from '../../support/time.ts';

// credits_private.due says what comes due, and when. Settling, due_at and the figures read it.
const db = useDatabase();
const day = (date: string) => us(`${date}T00:00:00Z`);

let account: string;
beforeEach(() => {
  account = unique('account');
});

const due = async () =>
  (
    await db.query(
      `select d.kind, d.id, d.amount, to_char(d.at at time zone 'UTC', 'MM-DD') as day
       from credits_private.due as d where d.account_id = $1 order by d.at, d.step, d.id`,
      [account],
    )
  ).map(({ kind, id, amount, day }) => [day, kind, id, amount]);

const dueAt = async (at: number) => {
  const { due_at, first } = await db.one(
    `select extract(epoch from a.due_at) * 1000000 as due_at,
       extract(epoch from credits_private.first_due(a.account_id, $2)) * 1000000 as first
     from credits_private.accounts as a where a.account_id = $1`,
    [account, moment(at)],
  );
  return { dueAt: Number(due_at), first: Number(first) };
};

test('the view lists what comes due in the order in which settling books it', async () => {
  const at = day('2024-01-01');
  const [tenth, twentieth] = [day('2024-01-10'), day('2024-01-20')];
  await grantAt(db, account, at, { key: 'used first', amount: 100, expires: tenth });
  await grantAt(db, account, at, { key: 'starts', amount: 20, effective: tenth });
  const both = { amount: 7, effective: tenth, expires: twentieth };
  await grantAt(db, account, at, { key: 'starts and expires', ...both });
  await holdAt(db, account, at, { key: 'ends with it', amount: 30, expiresIn: '9 days' });
  await holdAt(db, account, at, { key: 'ends later', amount: 10, expiresIn: '19 days' });
  const later = [
    ['01-20', 'hold expires', 2, 10],
    ['01-20', 'grant expires', 3, 0], // it holds nothing before it begins
    ['02-01', 'period ends', null, 0],
  ];
  expect(await due()).toEqual([
    ['01-10', 'hold expires', 1, 30],
    ['01-10', 'grant expires', 1, 60],
    ['01-10', 'grant begins', 2, 20],
    ['01-10', 'grant begins', 3, 7],
    ...later,
  ]);
  await settleAt(db, account, tenth);
  // What a hold keeps of a grant that has expired waits for the hold: the account is not due for it.
  const [held, begun] = [
    ['01-10', 'grant expires', 1, 0],
    ['01-20', 'grant expires', 3, 7],
  ];
  expect(await due()).toEqual([held, later[0], begun, later[2]]);
  expect(await dueAt(tenth)).toEqual({ dueAt: twentieth, first: twentieth });
});

// The calls write the earlier of due_at and one moment, where the whole view would cost too much:
// that it comes to the same is shown here.
test.each([1, 2, 3])('what a call adds makes due_at what the view says (seed %i)', async (seed) => {
  const { below, pick } = randomNumbers(seed);
  let now = day('2024-01-01');
  const spent: number[] = [];
  await grantAt(db, account, now, { key: 'ample', amount: 100_000, priority: 200 });
  const soon = () => now + (1 + below(60)) * DAY;
  const grant = (key: string) => grantAt(db, account, now, { key, amount: 9, expires: soon() });
  const adding = [
    grant,
    (key: string) => grantAt(db, account, now, { key, amount: 9, effective: soon() }),
    (key: string) => {
      const effective = soon();
      const expires = pick(effective + HOUR, effective + 9 * DAY);
      return grantAt(db, account, now, { key, amount: 9, effective, expires });
    },
    (key: string) =>
      holdAt(db, account, now, { key, amount: 5, expiresIn: pick('1 hour', '9 days', '40 days') }),
    // To a grant that was spent and expires yet, or to a new one in place of one that has expired.
    async (key: string) => {
      const transaction = spent.shift();
      await (transaction ? refundAt(db, account, now, { key, transaction }) : grant(key));
    },
  ];
  for (let i = 0; i < 50; i++) {
    now += below(3) * DAY + HOUR;
    const { transaction_id } = await deductAt(db, account, now, { key: `d${i}`, amount: 9 });
    spent.push(transaction_id);
    await settleAt(db, account, now);
    const before = await dueAt(now);
    await adding[below(adding.length)]?.(`a${i}`);
    const after = await dueAt(now);
    expect(after.dueAt, `call ${i}`).toBe(Math.min(before.dueAt, after.first));
  }
});

test('a deduction reads what is due only when something is', async () => {
  const at = day('2024-01-01');
  await grantAt(db, account, at, { key: 'grant', amount: 100 });
  await holdAt(db, account, at, { key: 'hold', amount: 10 });
  const client = await db.connect();
  const holdsRead = async (key: string, at: number) => {
    const read = `select seq_scan + idx_scan as n from pg_stat_xact_user_tables
      where relid = 'credits_private.holds'::regclass`;
    await client.query('begin');
    const before = Number((await client.query(read)).rows[0].n);
    await client.query(
      `select from credits_private.deduct_credits_at($1, 1, $2, null, null, null, '{}', $3)`,
      [account, key, moment(at)],
    );
    const after = Number((await client.query(read)).rows[0].n);
    await client.query('rollback');
    return after - before;
  };
  expect(await holdsRead('plain', at + HOUR - 1)).toBe(0);
  expect(await holdsRead('late', at + HOUR)).toBeGreaterThan(0);
});

test('a kind of thing that settling does not know stops it', async () => {
  const at = day('2024-01-01');
  await grantAt(db, account, at, { key: 'grant', amount: 100 });
  const client = await db.connect();
  await client.query('begin');
  await client.query(`do $$ begin
    execute 'create or replace view credits_private.due as '
      || rtrim(pg_get_viewdef('credits_private.due'), ';')
      || ' union all select a.account_id, a.opened_at + interval ''1 hour'', 9, null,
             ''account is an hour old'', 0 from credits_private.accounts as a';
  end $$`);
  const settle = client.query('select credits_private.settle_account_at($1, $2)', [
    account,
    '2024-02-01Z',
  ]);
  expect(await raised(settle)).toMatchObject({ code: '20000' });
  await client.query('rollback');
});
