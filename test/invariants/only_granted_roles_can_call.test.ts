import { beforeAll, describe, expect, test } from 'vitest';
import { asRole, createDatabase, raised, useDatabase } from '../support/database.ts';
import { discrepancies, writeSample } from '../support/ledger.ts';

const db = useDatabase();
const plain = `plain_${process.pid}`;
beforeAll(async () => {
  await writeSample(db, 'sample');
  await db.query(`select credits.hold_credits('sample', 1, 'hold')`);
  await db.query(`select credits.set_limit('sample', 'limit', 1000)`);
  await db.query(`create role ${db.rolePrefix}${plain}`);
});

const allowed: Record<string, string[]> = {
  credits_spender: [
    'available_for',
    'capture_hold',
    'deduct_credits',
    'deduct_credits_batch',
    'extend_hold',
    'hold_credits',
    'release_hold',
  ],
  credits_granter: [
    'available_for',
    'close_account',
    'forget_account',
    'grant_credits',
    'open_account',
    'refund_credits',
    'remove_limit',
    'revoke_grant',
    'set_limit',
    'set_overdraft_limit',
    'settle_account',
    'settle_due',
  ],
  credits_auditor: ['available_for', 'explain_balance'],
  [plain]: [],
};
const views = [
  'discrepancies',
  'entries',
  'grants',
  'holds',
  'invoice',
  'invoice_lines',
  'limits',
  'remaining',
  'transactions',
  'usage',
];

const functionsOf = (schema: string) =>
  db.query(
    `select proname as name, format('%s.%I(%s)', pronamespace::regnamespace, proname,
       (select string_agg('null::' || format_type(t, null), ', ')
        from unnest(proargtypes) as t)) as call
     from pg_proc
     where pronamespace = $1::regnamespace and prorettype <> 'trigger'::regtype order by 1`,
    [schema],
  );
const relationsOf = (schema: string, kinds: string[]) =>
  db.query(
    `select relname as name from pg_class
     where relnamespace = $1::regnamespace and relkind::text = any ($2) order by 1`,
    [schema, kinds],
  );

describe.each(Object.entries(allowed))('%s', (role, functions) => {
  test('calls the functions that sql/roles.sql says, and no other', async () => {
    const client = await asRole(db, role);
    const called: string[] = [];
    for (const { name, call } of await functionsOf('credits')) {
      const { code } = await raised(client.query(`select ${call}`));
      // Null arguments: whoever may call is told that they are malformed.
      expect(['42501', '22023']).toContain(code);
      if (code === '22023') called.push(name);
    }
    expect(called).toEqual(functions);
  });

  test('calls no function of credits_private', async () => {
    const client = await asRole(db, role);
    const calls = await functionsOf('credits_private');
    expect(calls.length).toBeGreaterThan(20);
    for (const { call } of calls) {
      expect(await raised(client.query(`select ${call}`))).toMatchObject({ code: '42501' });
    }
  });

  test('reads and writes no table or view of credits_private', async () => {
    const client = await asRole(db, role);
    const tables = await relationsOf('credits_private', ['r', 'p', 'v', 'm']);
    expect(tables.length).toBeGreaterThanOrEqual(10);
    expect(tables).toContainEqual({ name: 'limit_uses' });
    for (const { name } of tables) {
      for (const statement of [
        `select from credits_private.${name}`,
        `delete from credits_private.${name}`,
        `update credits_private.${name} set account_id = null`,
        `insert into credits_private.${name} default values`,
        `truncate credits_private.${name}`,
      ]) {
        expect(await raised(client.query(statement))).toMatchObject({ code: '42501' });
      }
    }
  });

  test(role === 'credits_auditor' ? 'reads every view' : 'reads no view', async () => {
    const client = await asRole(db, role);
    const relations = (await relationsOf('credits', ['r', 'p', 'v', 'm'])).map(({ name }) => name);
    expect(relations).toEqual(views);
    for (const name of relations) {
      const read = client.query(`select * from credits.${name}`);
      if (role !== 'credits_auditor') expect(await raised(read)).toMatchObject({ code: '42501' });
      else expect((await read).rows.length > 0).toBe(name !== 'discrepancies');
      const write = client.query(`delete from credits.${name}`);
      expect((await raised(write)).code).toMatch(/^(42501|55000)$/);
    }
  });
});

test('a spender and a granter do what they are for, in rows that they cannot touch', async () => {
  const [granter, spender] = [
    await asRole(db, 'credits_granter'),
    await asRole(db, 'credits_spender'),
  ];
  await granter.query(`select credits.grant_credits('app', 10, 'grant')`);
  await spender.query(`select credits.deduct_credits('app', 4, 'call')`);
  await granter.query(`select credits.refund_credits('app', 2, 'refund', 1)`);
  await granter.query(`select credits.settle_due(1)`);
  await granter.query(`select credits.set_limit('app', 'limit', 100)`);
  await spender.query(`select credits.hold_credits('app', 5, 'hold')`);
  await spender.query(`select credits.capture_hold('app', 1, 2, 'capture')`);
  await granter.query(`select credits.revoke_grant('app', 1, 'revoke', 1)`);
  const { rows } = await spender.query(`select credits.available_for('app') as available`);
  expect(rows).toEqual([{ available: 4 }]);
  expect(await discrepancies(db)).toEqual([]);
});

test('every public function runs as the owner, who logs in nowhere and is no superuser', async () => {
  const owners = await db.query(
    `select distinct r.rolname as name, r.rolsuper, r.rolcanlogin, f.prosecdef as definer
     from pg_proc as f join pg_roles as r on r.oid = f.proowner
     where f.pronamespace = 'credits'::regnamespace`,
  );
  const name = `${db.rolePrefix}credits_owner`;
  expect(owners).toEqual([{ name, rolsuper: false, rolcanlogin: false, definer: true }]);
});

test.each([
  [
    'grant execute on function credits.settle_due(int) to public',
    'credits.settle_due(integer)',
    'EXECUTE',
  ],
  [`create function credits.f() returns int language sql return 1`, 'credits.f()', 'EXECUTE'],
  ['grant select on credits.invoice to public', 'credits.invoice', 'SELECT'],
  ['grant insert on credits_private.entries to public', 'credits_private.entries', 'INSERT'],
  ['grant usage on schema credits_private to public', 'credits_private', 'USAGE'],
  [
    'grant select (balance) on credits_private.accounts to public',
    'credits_private.accounts.balance',
    'SELECT',
  ],
])('what is for everybody is found: %s', async (statement, subject, privilege) => {
  const open = await createDatabase();
  try {
    expect(await discrepancies(open)).toEqual([]);
    await open.query(statement);
    expect(await discrepancies(open)).toEqual([
      {
        account: null,
        finding: ['only_granted_roles_can_call', subject, 'nothing for public', privilege],
      },
    ]);
  } finally {
    await open.drop();
  }
});
