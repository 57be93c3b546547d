import { expect, test } from 'vitest';
import { asRole, createDatabase, useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';

// Each role against each function, table and view: test/security/matrix.test.ts.
const db = useDatabase();

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
        finding: ['only_granted_roles_can_call', subject, 'nothing', `${privilege} for PUBLIC`],
      },
    ]);
  } finally {
    await open.drop();
  }
});
