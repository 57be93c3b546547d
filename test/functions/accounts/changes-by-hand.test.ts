import { beforeAll, expect, test } from 'vitest';
import { call } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { everything } from '../../support/ledger.ts';

// As a superuser, whom no privilege stops. The guards themselves are proved in test/invariants;
// this file is about their error.
const db = useDatabase();

beforeAll(async () => {
  const args = { p_account_id: 'acme', p_amount: 10 };
  await call(db, 'grant_credits', { ...args, p_idempotency_key: 'grant' });
  await call(db, 'deduct_credits', { ...args, p_idempotency_key: 'deduct' });
});

const changes: [table: string, statement: string, constraint: string][] = [
  ['accounts', 'update $ set balance = 5', 'counters_change_only_with_the_ledger'],
  [
    'accounts',
    'update $ set last_entry_id = last_entry_id + 1',
    'counters_change_only_with_the_ledger',
  ],
  [
    'accounts',
    'update $ set last_part_id = last_part_id + 1',
    'counters_change_only_with_the_ledger',
  ],
  ['accounts', 'delete from $', 'every_change_has_an_entry'],
  ['grants', 'update $ set remaining = 5', 'counters_change_only_with_the_ledger'],
  ['grants', 'delete from $', 'every_change_has_an_entry'],
  ['usage_counters', 'update $ set calls = calls + 1', 'counters_change_only_with_the_ledger'],
  ['usage_counters', 'delete from $', 'counters_change_only_with_the_ledger'],
  ['usage_counters', 'truncate $', 'counters_change_only_with_the_ledger'],
  ['entries', 'update $ set amount = amount', 'entries_are_immutable'],
  ['entries', 'delete from $', 'entries_are_immutable'],
  ['entries', 'truncate $', 'entries_are_immutable'],
  ['idempotency_keys', "update $ set idempotency_key = 'x'", 'a_request_takes_effect_once'],
  ['idempotency_keys', 'delete from $', 'a_request_takes_effect_once'],
  ['idempotency_keys', 'truncate $', 'a_request_takes_effect_once'],
];
test.each(changes)(
  'changing %s by hand is refused with 23514: %s',
  async (table, statement, constraint) => {
    const before = await everything(db);
    const error = await raised(db.query(statement.replace('$', `credits_private.${table}`)));
    expect(error).toMatchObject({ code: '23514', constraint });
    const [change] = statement.split(' ');
    expect(error.detail).toEqual({ table, change, invariant: constraint });
    expect(error.hint).toBeTruthy();
    expect(error.message).toBe('a change by hand is refused');
    expect(await everything(db)).toBe(before);
  },
);

const columns = 'account_id, entry_id, transaction_id, entry_count, kind, grant_id, amount,';
const entries: [what: string, constraint: string, values: string][] = [
  ['that leaves a gap', 'entries_are_gapless', '5, 5, 1, 10'],
  ['with another balance', 'balance_equals_ledger', '3, 3, 1, 11'],
  ['of before', 'entries_never_run_back_in_time', "3, 3, 1, 10, '2024-01-01', '2024-01-01'"],
];
test.each(entries)(
  'an entry written by hand %s is refused with 23514',
  async (_, constraint, values) => {
    const before = await everything(db);
    const [
      entry,
      transaction,
      count,
      balance,
      effective = 'clock_timestamp()',
      created = effective,
    ] = values.split(', ');
    const error = await raised(
      db.query(
        `insert into credits_private.entries (${columns} balance_after, effective_at, created_at,
         period)
       select 'acme', ${entry}, ${transaction}, ${count}, 'grant', 1, 10, ${balance}, ${effective},
         ${created}, a.period from credits_private.accounts a`,
      ),
    );
    expect(error).toMatchObject({ code: '23514', constraint });
    expect(error.detail).toEqual({
      account_id: 'acme',
      entry_id: Number(entry),
      invariant: constraint,
    });
    expect(error.hint).toBeTruthy();
    expect(await everything(db)).toBe(before);
  },
);
