import { beforeAll, expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import { writeHistory } from '../support/history.ts';
import { DAY, moment, us } from '../support/time.ts';

const db = useDatabase();
const account = { p_account_id: 'acme' };
beforeAll(async () => {
  const keyed = (name: string, key: string, args: Record<string, unknown>) =>
    call(db, name, { ...account, p_idempotency_key: key, ...args });
  await keyed('grant_credits', 'bought', {
    p_amount: 900,
    p_paid_amount: 5,
    p_paid_currency: 'eur',
    p_expires_in: '1 month 3 days',
  });
  await keyed('grant_credits', 'later', {
    p_amount: 50,
    p_effective_at: moment(us('2900-01-01T00:00:00Z')),
    p_expires_at: moment(us('2900-01-01T00:00:00Z') + DAY),
    p_operations: ['search'],
  });
  const { hold_id: p_hold_id } = await keyed('hold_credits', 'held', {
    p_amount: 40,
    p_expires_in: '1 month',
    p_operation: 'search',
  });
  await keyed('capture_hold', 'captured', { p_hold_id, p_amount: 15, p_final: false });
  await keyed('release_hold', 'released', { p_hold_id });
  const { transaction_id: p_transaction_id } = await keyed('deduct_credits', 'spent', {
    p_amount: 20,
  });
  await keyed('refund_credits', 'refunded', { p_transaction_id });
  await keyed('revoke_grant', 'revoked', { p_grant_id: 1, p_amount: 30, p_on_spent: 'debt' });
  await keyed('deduct_credits', 'free', { p_amount: 0 });
});

test('of every call that has a key of its own, the rows that it left give the digest of its arguments', async () => {
  await Promise.all([81, 82, 83].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const { keys } = await db.one('select count(*) as keys from credits_private.idempotency_keys');
  expect(keys).toBeGreaterThan(60);
  expect(await discrepancies(db)).toEqual([]);
});

/** The promises found broken after a statement that no guard sees; the statement is undone. */
async function broken(statement: string) {
  const client = await db.connect();
  try {
    await client.query(`begin; set local session_replication_role = replica; ${statement}`);
    const { rows } = await client.query(
      `select invariant, subject from credits.discrepancies
       where account_id = 'acme' and invariant = 'a_key_has_one_answer' order by subject`,
    );
    return rows.map(({ subject }) => subject);
  } finally {
    await client.query('rollback');
    await client.end();
  }
}

test.each([
  ['grants', `priority = 1 where grant_id = 1`, ['key bought']],
  ['grants', `source = 'gift' where grant_id = 1`, ['key bought']],
  ['grants', `paid_amount = 6 where grant_id = 1`, ['key bought']],
  ['grants', `expires_at = expires_at + '1 day' where grant_id = 1`, ['key bought']],
  ['grants', `operations = '{other}' where grant_id = 2`, ['key later']],
  ['grants', `effective_at = effective_at - interval '1 hour' where grant_id = 2`, ['key later']],
  ['holds', 'amount = 41', ['key held']],
  ['holds', `operation = 'other'`, ['key held']],
  ['holds', `created_at = created_at - interval '1 microsecond'`, ['key held']],
  ['holds', `state = 'expired'`, ['release of hold 1']],
  ['entries', `is_final = true where kind = 'capture'`, ['key captured']],
  ['entries', `refunded_transaction_id = 1 where kind = 'refund'`, ['key refunded']],
  ['revocations', 'requested = 31', ['answer to key revoked']],
  ['revocations', `on_spent = 'clamp'`, ['answer to key revoked']],
  [
    'idempotency_keys',
    `fingerprint = '\\x00' where idempotency_key = 'released'`,
    ['key released'],
  ],
])('%s whose %s was set behind the guards is found by its key', async (table, change, subjects) => {
  const statement = `update credits_private.${table} set ${change}`;
  const [set, where] = statement.split(' where ');
  const one = `${set} where account_id = 'acme' and ${where ?? 'true'}`;
  expect(await broken(one)).toEqual(subjects);
});

test.each([
  ['held', ['hold 1']],
  ['released', ['release of hold 1']],
  ['later', ['grant 2']],
  ['revoked', ['revocation 1 of grant 1']],
])('a call whose key (%s) was deleted is found', async (key, subjects) => {
  const statement = `delete from credits_private.idempotency_keys where idempotency_key = '${key}'`;
  expect(await broken(statement)).toEqual(subjects);
});
