import { spawnSync } from 'node:child_process';
import pg from 'pg';
import { expect } from 'vitest';
import { makeIncident } from '../adoption/legacy.ts';
import { useDatabase } from '../support/database.ts';
import { testDocument } from '../support/document.ts';

const db = useDatabase();
const empty = useDatabase({ empty: true });
const legacy = useDatabase({ empty: true });

/** Its statements are one story, which one database is told from the start. */
const sql = { sql: (statement: string) => db.query(statement) };

/** What the example sets for all of its process, this client alone gets. */
async function runExample(text: string) {
  const parsers = new Map<number, (value: string) => unknown>();
  const types = {
    builtins: pg.types.builtins,
    setTypeParser: (oid: number, parse: (value: string) => unknown) => parsers.set(oid, parse),
  };
  const getTypeParser = (oid: number) => parsers.get(oid) ?? pg.types.getTypeParser(oid);
  const client = new pg.Client({ connectionString: db.url, types: { getTypeParser } });
  await client.connect();
  try {
    await client.query(`select credits.grant_credits('js', 1000, 'grant')`);
    const run = `return (async () => { ${text}; return { spent, answers }; })()`;
    const example = new Function('pg', 'client', 'accountId', 'requestId', run);
    expect(await example({ types }, client, 'js', 'request')).toEqual({
      spent: { transaction_id: 2, balance: 975 },
      answers: [{ deduction: 1, balance: 970, error_code: null }],
    });
    const invoice = `select period from credits.invoice where account_id = 'js'`;
    expect((await client.query(invoice)).rows[0].period).toMatch(/^\d{4}-\d{2}-01$/);
  } finally {
    await client.end();
  }
}

const app = () => `${empty.rolePrefix}my_app`;
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

/** What the app does after a command of the adoption, and what it must see. */
const meanwhile = {
  'npx pg-credits shadow install': () => spendTheOldWay(1001),
  'npx pg-credits adopt --trust transactions': async () => {
    expect(await balanceHere()).toBe(130);
    await spendTheOldWay(1002);
    expect(await balanceHere()).toBe(121);
  },
  'npx pg-credits cutover': async () => {
    await legacy.query(`select balance from credits.deduct_credits('acme', 21, 'request 1')`);
    expect([await balanceShown(), await balanceHere()]).toEqual([100, 100]);
  },
  'npx pg-credits cutover --rollback': async () => {
    expect(await balanceShown()).toBe(100);
    await spendTheOldWay(1003);
    expect([await balanceShown(), await balanceHere()]).toEqual([91, 91]);
  },
};

testDocument('README.md', {
  // Its commands are this suite and test/demo.test.ts.
  'See it': {
    env: () => ({}),
    instead: { 'npm ci && npm run demo': '', 'npm ci && npm test': '' },
  },
  'One call and its rows': sql,
  'When the cost is known only at the end': sql,
  'Limits and overdraft': sql,
  'Payments, refunds, disputes': sql,
  'Many at once': sql,
  'Install and deploy': {
    needs: () => (spawnSync('psql', ['--version']).error ? 'there is no psql here' : undefined),
    before: () => empty.query(`create role ${app()}`),
    env: () => {
      const prefix = empty.rolePrefix;
      const SPENDER = `${prefix}credits_spender`;
      return { DATABASE_URL: empty.url, PREFIX: prefix, SPENDER, APP: app() };
    },
    instead: {
      'npm install pg-credits': '', // tools/ci/package.ts does
      'npx pg-credits deploy --database-url "$DATABASE_URL" --wait 30':
        'npx pg-credits deploy --database-url "$DATABASE_URL" --wait 30 --role-prefix "$PREFIX"',
      'psql "$DATABASE_URL" -c \'grant credits_spender to my_app\'':
        'psql "$DATABASE_URL" -c "grant $SPENDER to $APP"',
    },
    finally: () => empty.query(`drop role if exists ${app()}`),
  },
  'Call it from any app': { js: runExample },
  'Adopt a ledger that has drifted': {
    before: async () => makeIncident(await legacy.connect()),
    env: () => ({ DATABASE_URL: legacy.url, PREFIX: legacy.rolePrefix }),
    instead: {
      'npx pg-credits deploy': 'npx pg-credits deploy --role-prefix "$PREFIX"',
      'npx pg-credits compare --gate --window 600':
        'npx pg-credits compare --gate --window 2 --every 1',
    },
    after: {
      ...meanwhile,
      'npx pg-credits compare': async () =>
        expect(await legacy.query('select * from credits.discrepancies')).toEqual([]),
    },
  },
});
