import { expect } from 'vitest';
import { makeIncident } from '../adoption/legacy.ts';
import { useDatabase } from '../support/database.ts';
import { testDocument } from '../support/document.ts';

const legacy = useDatabase({ empty: true });

const balanceShown = async () =>
  (await legacy.one(`select balance from public.user_credits where user_id = 'acme'`)).balance;
const balanceHere = async () =>
  (await legacy.one(`select balance from credits.remaining where account_id = 'acme'`)).balance;

const spendTheOldWay = (id: number) =>
  legacy.query(
    `with spent as (
       update public.user_credits set balance = balance - 9 where user_id = 'acme' returning balance
     )
     insert into public.credit_transactions
     select $1::bigint, 'acme', -9, 'usage', '/execute', 'key_app', 'call ' || $1, null, balance,
       now()
     from spent`,
    [id],
  );

/** The chapters are one story, told in one database and one folder. */
const stage = {
  env: () => ({ DATABASE_URL: legacy.url, PREFIX: legacy.rolePrefix }),
};

testDocument('docs/adopting.md', {
  Diagnose: {
    ...stage,
    before: async () => makeIncident(await legacy.connect()),
  },
  'Adopt, beside the running app': {
    ...stage,
    instead: { 'npx pg-credits deploy': 'npx pg-credits deploy --role-prefix "$PREFIX"' },
    after: {
      'npx pg-credits shadow install': () => spendTheOldWay(1001),
      'npx pg-credits adopt --trust transactions': async () => {
        expect(await balanceHere()).toBe(130);
        await spendTheOldWay(1002);
        expect(await balanceHere()).toBe(121);
      },
      'npx pg-credits compare': async () =>
        expect(await legacy.query('select * from credits.discrepancies')).toEqual([]),
    },
  },
  'Cut over': {
    ...stage,
    instead: {
      'npx pg-credits compare --gate --window 600':
        'npx pg-credits compare --gate --window 2 --every 1',
    },
    after: {
      'npx pg-credits cutover': async () => {
        await legacy.query(`select balance from credits.deduct_credits('acme', 21, 'request 1')`);
        expect([await balanceShown(), await balanceHere()]).toEqual([100, 100]);
      },
      'npx pg-credits cutover --rollback': async () => {
        expect(await balanceShown()).toBe(100);
        await spendTheOldWay(1003);
        expect([await balanceShown(), await balanceHere()]).toEqual([91, 91]);
      },
    },
  },
});
