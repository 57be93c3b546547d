import { afterEach, beforeEach, expect, test } from 'vitest';
import { readParties } from '../../../scripts/adoption/app/parties.ts';
import { compare } from '../../../scripts/adoption/compare/compare.ts';
import { describeMirror } from '../../../scripts/adoption/compare/report.ts';
import { parseMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { giveUp, retryFailures } from '../../../scripts/adoption/shadow/retry.ts';
import { expectNoDiscrepancies, ledger } from '../../concurrency/race.ts';
import type { Database } from '../../support/database.ts';
import {
  adopt,
  createApp,
  failures,
  figures,
  insert,
  install,
  mapping,
  mappingText,
  write,
} from './app.ts';

let db: Database;
beforeEach(async () => {
  db = await createApp(2);
  await install(db);
  await adopt(db, 'u1');
});
afterEach(() => db.drop());

async function retry(of = mapping) {
  const client = await db.connect();
  return retryFailures(client, of, await readParties(client));
}

test('a write that our constraint refuses goes on and is recorded, and retry books it', async () => {
  const plant = 'add constraint planted check (amount <> -7) not valid';
  await db.query(`alter table credits_private.entries ${plant}`);
  await write(db, 'u1', -7);
  await write(db, 'u1', -8);
  expect(await figures(db, 'u1')).toEqual({ ours: 962, theirs: 955 });
  const [failure, ...more] = await failures(db);
  expect(more).toEqual([]);
  expect(failure).toMatchObject({
    account_id: 'u1',
    sqlstate: '23514',
    error: expect.stringMatching(/violates check constraint "planted"/),
    change: { new: { account_id: 'u1', amount: -7, kind: 'usage' } },
  });
  const again = await retry();
  expect(again).toMatchObject({ booked: 0, not_needed: 0 });
  expect(again.left).toMatchObject([
    { failure_id: 1, account_id: 'u1', transaction_id: failure.transaction_id },
  ]);
  expect(again.left[0]?.why).toMatch(/planted/);
  await db.query('alter table credits_private.entries drop constraint planted');
  expect(await retry()).toEqual({ booked: 1, not_needed: 0, left: [] });
  expect(await ledger(db, 'u1')).toEqual(['grant 970', 'deduction -8', 'deduction -7']);
  expect(await failures(db)).toEqual([]);
  await expectNoDiscrepancies(db);
});

test('a write that a revoked privilege stops goes on and is recorded, and retry books it', async () => {
  const role = `${db.rolePrefix}credits_owner`;
  await db.query(`revoke insert on credits_private.entries from ${role}`);
  await write(db, 'u1', -7);
  expect(await failures(db)).toMatchObject([{ sqlstate: '42501' }]);
  await db.query(`grant insert on credits_private.entries to ${role}`);
  expect(await retry()).toMatchObject({ booked: 1, left: [] });
  expect(await figures(db, 'u1')).toEqual({ ours: 963, theirs: 963 });
});

test('a row that the mapping cannot read is recorded as it is, and read by retry', async () => {
  const role = `${db.rolePrefix}credits_owner`;
  await db.query(
    `create table public.kinds (kind text, name text); insert into public.kinds values ('usage', 'call');
     grant select on public.kinds to ${role}`,
  );
  const looks = parseMapping(
    mappingText.replace(
      'kind: kind',
      'kind: (select k.name from public.kinds as k where k.kind = t.kind)',
    ),
  );
  await install(db, looks);
  await write(db, 'u1', 7);
  await db.query(`revoke select on public.kinds from ${role}`);
  await write(db, 'u1', 8);
  expect(await failures(db)).toMatchObject([
    {
      account_id: null,
      sqlstate: '42501',
      change: { unread: { old: null, new: { user_id: 'u1', amount: 8, kind: 'usage' } } },
    },
  ]);
  // The user may read what the owner of the ledger may not.
  expect(await retry(looks)).toMatchObject({ booked: 1, left: [] });
  const sources = await db.query(
    `select source from credits.grants where account_id = 'u1' order by grant_id`,
  );
  expect(sources.map(({ source }) => source)).toEqual(['opening', 'call', 'call']);
});

test('a recorded row that retry reads keeps its ids, to the last digit', async () => {
  const account = '1234567890123456789';
  await db.query(
    `alter table public.credit_transactions alter column user_id type bigint
       using 1234567890123456788 + substr(user_id, 2)::bigint`,
  );
  await adopt(db, account);
  await db.query('alter table public.credit_transactions rename column amount to delta');
  const id = '9007199254740993';
  await db.query(
    `insert into public.credit_transactions (id, user_id, delta) overriding system value values ($1, $2, -7)`,
    [id, account],
  );
  const mended = parseMapping(mappingText.replace('amount: amount', 'amount: delta'));
  await install(db, mended);
  expect(await retry(mended)).toEqual({ booked: 1, not_needed: 0, left: [] });
  expect(await ledger(db, account)).toEqual(['grant 970', 'deduction -7']);
  expect(
    await db.query(
      `select account_id, idempotency_key as key from credits.transactions where amount = -7`,
    ),
  ).toEqual([{ account_id: account, key: `legacy ${id}` }]);
  expect(
    await db.query('select account_id from credits_private.accounts order by account_id'),
  ).toEqual([{ account_id: account }, { account_id: 'u1' }]);
});

test('what is written while a mapped column has another name is not forgotten', async () => {
  const rename = (from: string, to: string) =>
    db.query(`alter table public.credit_transactions rename column ${from} to ${to}`);
  await rename('amount', 'amt');
  await db.query(`insert into public.credit_transactions (user_id, amt) values ('u1', -7)`);
  await rename('amt', 'amount');
  const { booked, left } = await retry();
  expect({ booked, left: left.map(({ why }) => why) }).toEqual({
    booked: 0,
    left: [
      'it was recorded with amt, which public.credit_transactions has no more, and without amount: rename the column in its change in credits_adoption.failures',
    ],
  });
  await db.query(
    `update credits_adoption.failures set change = replace(change::text, '"amt"', '"amount"')::jsonb`,
  );
  expect(await retry()).toEqual({ booked: 1, not_needed: 0, left: [] });
  expect(await figures(db, 'u1')).toEqual({ ours: 963, theirs: 963 });
});

test('a row without an amount, an account or a moment is recorded, until it is read otherwise', async () => {
  await db.query('alter table public.credit_transactions alter column created_at drop not null');
  await db.query(
    `insert into public.credit_transactions (user_id, amount, created_at)
     values (null, 5, now()), ('u1', null, now()), ('u1', 7, null)`,
  );
  const error = (name: string) =>
    `the mapping reads no ${name}: mend the mapping, or leave such rows out, with where`;
  const errors = ['account_id', 'amount', 'created_at'].map(error);
  expect((await failures(db)).map((each) => each.error)).toEqual(errors);
  expect((await retry()).left.map(({ why }) => why)).toEqual(errors);
  expect(await figures(db, 'u1')).toMatchObject({ ours: 970 });
  const mended = parseMapping(
    mappingText
      .replace('created_at: created_at', "created_at: coalesce(created_at, '2026-01-01Z')")
      .replace('  kind: kind', '  kind: kind\n  where: user_id is not null and amount is not null'),
  );
  expect(await retry(mended)).toEqual({ booked: 1, not_needed: 2, left: [] });
  expect(await figures(db, 'u1')).toEqual({ ours: 977, theirs: 977 });
});

test('an amount with a fraction is recorded, not rounded, and retry books what the corrected mapping says', async () => {
  await db.query('alter table public.credit_transactions alter column amount type numeric(12,2)');
  await insert(db, 'u1', -0.4);
  await insert(db, 'u1', -1.5);
  await insert(db, 'u1', -2);
  expect(await figures(db, 'u1')).toMatchObject({ ours: 968 });
  const error = (amount: string) =>
    `invalid input syntax for type bigint: "amount ${amount} is not whole"`;
  expect((await failures(db)).map((each) => each.error)).toEqual([error('-0.40'), error('-1.50')]);
  const cents = parseMapping(mappingText.replace('amount: amount', 'amount: amount * 10'));
  expect(await retry(cents)).toEqual({ booked: 2, not_needed: 0, left: [] });
  expect(await ledger(db, 'u1')).toEqual([
    'grant 970',
    'deduction -2',
    'deduction -4',
    'deduction -15',
  ]);
});

test('a failure that cannot be recorded either is a warning, and the write goes on', async () => {
  await db.query(
    `alter table credits_private.entries add constraint planted check (amount <> -7) not valid;
     alter table credits_adoption.failures add constraint planted check (false) not valid`,
  );
  const app = await db.connect();
  const warnings: string[] = [];
  app.on('notice', ({ message }) => warnings.push(message ?? ''));
  await insert(app, 'u1', -7);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/^pg-credits: a write was not mirrored \(.*that was not recorded: /);
  expect(await figures(db, 'u1')).toEqual({ ours: 970, theirs: 963 });
});

test('an id that is too long is recorded as a failure that names it, and a label is cut', async () => {
  await insert(db, 'x'.repeat(300), 5);
  await db.query(
    `insert into public.credit_transactions (user_id, amount, kind, api_key_id)
     values ('u1', -5, 'usage', repeat('x', 300)), ('u1', 7, repeat('x', 300), null)`,
  );
  const errors = ['account_id', 'api_key_id'].map(
    (name) => `${name}: an id must have 1 to 255 bytes`,
  );
  expect((await failures(db)).map((each) => each.error)).toEqual(errors);
  expect((await retry()).left.map(({ why }) => why)).toEqual(errors);
  expect(await ledger(db, 'u1')).toEqual(['grant 970', 'grant 7']);
});

test('a truncate is recorded, and retry says what to do, which is true', async () => {
  await db.query(
    `create table public.copy as table public.credit_transactions; truncate public.credit_transactions`,
  );
  expect(await failures(db)).toMatchObject([
    { account_id: null, sqlstate: 'truncated', error: 'the table was truncated', change: null },
  ]);
  const { booked, left } = await retry();
  expect({ booked, why: left[0]?.why }).toEqual({
    booked: 0,
    why: 'the table was truncated: if by mistake, put its rows back while its trigger _900_pg_credits_shadow is disabled; if not, book by hand what pg-credits compare shows; then --give-up 1',
  });
  const client = await db.connect();
  const parties = await readParties(client);
  expect(describeMirror(await compare(client, mapping, parties))).toEqual([
    '0 writes mirrored, 1 failure, which pg-credits shadow retry books, or says why not:',
    '  1: the table was truncated',
  ]);
  await db.query(
    `alter table public.credit_transactions disable trigger _900_pg_credits_shadow;
     insert into public.credit_transactions overriding system value table public.copy;
     alter table public.credit_transactions enable trigger _900_pg_credits_shadow`,
  );
  await giveUp(client, parties, ['1']);
  expect(await failures(db)).toEqual([]);
  expect(await figures(db, 'u1')).toEqual({ ours: 970, theirs: 970 });
});
