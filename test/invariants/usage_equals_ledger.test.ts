import { expect, test } from 'vitest';
import { captureAt, grantAt, holdAt, refundAt } from '../support/calls.ts';
import { useDatabase } from '../support/database.ts';
import { discrepancies, findingsOf } from '../support/discrepancies.ts';
import { writeHistory, writeSample } from '../support/history.ts';
import { us } from '../support/time.ts';

const db = useDatabase();

test('after any history, the usage counters say what the ledger says', async () => {
  await Promise.all([1, 2, 3, 4].map((seed) => writeHistory(db, `history ${seed}`, seed)));
  const columns = `account_id, period, api_key_id, operation, credits_used, credits_refunded,
    net_used, calls`;
  const order = `order by account_id, period, api_key_id, operation`;
  const usage = await db.query(`select ${columns} from credits.usage ${order}`);
  const ledger = await db.query(
    `select account_id, period, api_key_id, operation,
       coalesce(sum(-amount) filter (where kind <> 'refund'), 0)::bigint as credits_used,
       coalesce(sum(amount) filter (where kind = 'refund'), 0)::bigint as credits_refunded,
       -sum(amount)::bigint as net_used,
       count(distinct transaction_id) filter (where kind = 'deduction' or kind = 'capture'
         and not exists (select from credits.entries as f where f.account_id = e.account_id
           and f.kind = 'capture' and f.hold_id = e.hold_id
           and f.transaction_id < e.transaction_id)) as calls
     from credits.entries as e where kind in ('deduction', 'capture', 'refund')
     group by account_id, period, api_key_id, operation ${order}`,
  );
  expect(usage).toEqual(ledger);
  expect(usage.some((row) => row.api_key_id === null && row.operation === null)).toBe(true);
  expect(await discrepancies(db)).toEqual([]);
});

test('a call without an API key is counted, and once however many grants it draws on', async () => {
  await writeSample(db, 'sample');
  const usage = await db.query(
    `select api_key_id, operation, credits_used, credits_refunded, net_used, calls
     from credits.usage where account_id = 'sample' order by period`,
  );
  expect(usage).toEqual([
    {
      api_key_id: 'key a',
      operation: 'search',
      credits_used: 60,
      credits_refunded: 20,
      net_used: 40,
      calls: 1,
    },
    {
      api_key_id: null,
      operation: null,
      credits_used: 5,
      credits_refunded: 0,
      net_used: 5,
      calls: 1,
    },
  ]);
});

test('a hold that was captured three times is one call, with what all of them took', async () => {
  const day = us('2024-01-10T00:00:00Z');
  await grantAt(db, 'run', day, { key: 'grant', amount: 2000 });
  const hold = { key: 'hold', amount: 1000, apiKey: 'key a', operation: 'run', run: 'run 1' };
  const { hold_id } = await holdAt(db, 'run', day, hold);
  for (const amount of [180, 220, 37]) {
    const capture = { key: `${amount}`, hold: hold_id, amount, final: amount === 37 };
    await captureAt(db, 'run', day, capture);
  }
  await refundAt(db, 'run', day, { key: 'refund', transaction: 2, amount: 80 });
  expect(
    await db.query(
      `select api_key_id, operation, credits_used, credits_refunded, net_used, calls
       from credits.usage where account_id = 'run'`,
    ),
  ).toEqual([
    {
      api_key_id: 'key a',
      operation: 'run',
      credits_used: 437,
      credits_refunded: 80,
      net_used: 357,
      calls: 1,
    },
  ]);
  expect(await discrepancies(db)).toEqual([]);
});

const ofSearch = 'period 2024-01-01, api key key a, operation search';
const ofOther = 'period 2024-03-01, api key , operation ';

test.each([
  ['credits_used = 24', '(24,20,1)'],
  ['credits_refunded = 0', '(60,0,1)'],
  ['calls = 2', '(60,20,2)'],
])('a usage counter that was changed by hand to %s is found', async (change, actual) => {
  const statement = `update credits_private.usage_counters set ${change}
    where account_id = 'broken' and operation = 'search'`;
  expect(await findingsOf('usage_counters', statement)).toEqual([
    ['usage_equals_ledger', ofSearch, '(60,20,1)', actual],
  ]);
});

test('a usage counter that is missing, or that no call has made, is found', async () => {
  const found = await findingsOf(
    'usage_counters',
    `delete from credits_private.usage_counters where account_id = 'broken' and api_key_id = '';
     insert into credits_private.usage_counters (account_id, period, api_key_id, operation)
     values ('broken', '2024-03-01', '', 'x')`,
  );
  expect(found).toEqual([
    ['usage_equals_ledger', ofOther, '(5,0,1)', '(,,)'],
    ['usage_equals_ledger', `${ofOther}x`, '(,,)', '(0,0,0)'],
  ]);
});
