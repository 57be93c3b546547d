import { beforeEach, describe, expect, test } from 'vitest';
import { type Arguments, call, limitAt, unique } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { everything } from '../../support/ledger.ts';
import { openAt } from '../../support/limits.ts';
import { us } from '../../support/time.ts';

const db = useDatabase();
const now = us('2024-05-10T12:00:00Z');

let account: string;
beforeEach(async () => {
  account = unique('account');
  await openAt(db, account, now);
});

const limits = () =>
  db.query('select to_jsonb(l) as row from credits_private.limits as l where account_id = $1', [
    account,
  ]);

const ids = { null: null, empty: '', 'too long': 'x'.repeat(256) };
const ceilings = { null: null, negative: -1, '2^53': '9007199254740992' };
const bad: Record<string, Record<string, Record<string, unknown>>> = {
  set_limit: {
    p_account_id: ids,
    p_limit_id: ids,
    p_ceiling: ceilings,
    p_overage: { ...ceilings, 'more than the ceiling leaves room for': '9007199254740991' },
    p_scope: { null: null, unknown: 'apikey', empty: '' },
    p_scope_id: { empty: '', 'too long': 'x'.repeat(256) },
    p_window: { null: null, unknown: 'month', empty: '' },
  },
  remove_limit: { p_account_id: ids, p_limit_id: ids },
};
const malformed = Object.entries(bad).flatMap(([name, all]) =>
  Object.entries(all).flatMap(([argument, values]) =>
    Object.entries(values).map(([what, value]) => ({ name, argument, what, value })),
  ),
);
const valid: Record<string, Arguments> = {
  set_limit: { p_limit_id: 'one', p_ceiling: 1, p_scope: 'run' },
  remove_limit: { p_limit_id: 'one' },
};

test.each(malformed)('$name refuses $argument: $what', async ({ name, argument, value }) => {
  const args = { p_account_id: account, ...valid[name], [argument]: value };
  const error = await raised(call(db, name, args));
  expect(error).toMatchObject({ code: '22023', detail: { argument } });
  expect(error.hint).toBeTruthy();
  expect(await limits()).toEqual([]);
});

test('the scope account has no scope id', async () => {
  const args = { p_account_id: account, p_limit_id: 'one', p_ceiling: 1, p_scope_id: 'key' };
  const error = await raised(call(db, 'set_limit', args));
  expect(error).toMatchObject({ code: '22023', detail: { argument: 'p_scope_id' } });
});

describe.each(['set_limit', 'remove_limit'])('%s', (name) => {
  test('raises PT404 for an account that nobody opened', async () => {
    const error = await raised(call(db, name, { p_account_id: 'nobody', ...valid[name] }));
    expect(error).toMatchObject({ code: 'PT404', detail: { account_id: 'nobody' } });
  });

  test('raises PT423 for one that is closed, and changes nothing', async () => {
    await limitAt(db, account, now, { id: 'one', ceiling: 7 });
    await call(db, 'close_account', { p_account_id: account });
    const before = [await everything(db), await limits()];
    const error = await raised(call(db, name, { p_account_id: account, ...valid[name] }));
    expect(error).toMatchObject({ code: 'PT423', detail: { account_id: account } });
    expect([await everything(db), await limits()]).toEqual(before);
  });
});
