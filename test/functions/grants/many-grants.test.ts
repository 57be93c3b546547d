import { beforeAll, expect, test } from 'vitest';
import { useDatabase } from '../../support/database.ts';

const db = useDatabase();

// 600 grants, of which only the last is open: the others are spent or expired. Postgres believes
// that an account has one grant, as nearly all have; this must not matter.
beforeAll(async () => {
  await db.query(
    `select count(*) from generate_series(1, 2000) as i,
       lateral credits.grant_credits('other ' || i, 1, 'grant')`,
  );
  await db.query(`
    do $$
    declare
      v_at timestamptz := clock_timestamp() - interval '10 hours';
    begin
      for i in 1..600 loop
        v_at := v_at + interval '30 seconds';
        perform credits_private.grant_credits_at('acme', 10, 'grant ' || i, 'plan', 100,
          case when i % 2 = 0 then v_at + interval '1 second' end, null, null, null, null, '{}', v_at);
        if i % 2 = 1 then
          perform credits_private.deduct_credits_at('acme', 10, 'call ' || i, null, null, null, '{}', v_at);
        end if;
        if i % 50 = 0 then
          commit;
        end if;
      end loop;
      perform credits.grant_credits('acme', 100, 'last');
    end
    $$`);
  await db.query('vacuum analyze');
});

const fetched = `select seq_tup_read + idx_tup_fetch as n from pg_stat_xact_user_tables
  where relid = 'credits_private.grants'::regclass`;

/** The answer, and the number of rows read for it in multiples of all grants, rounded up. */
async function reading(query: string) {
  const client = await db.connect();
  await client.query('begin');
  const before = Number((await client.query(fetched)).rows[0].n);
  const [answer] = (await client.query(query)).rows;
  const after = Number((await client.query(fetched)).rows[0].n);
  await client.query('rollback');
  const { grants } = await db.one('select count(*) + 10 as grants from credits_private.grants');
  return { ...answer, times: Math.ceil((after - before) / grants) };
}

// A table as small as this one may well be read whole.
test.each([
  ['remaining', `select available from credits.remaining where account_id = 'acme'`, 100],
  ['available_for', `select credits.available_for('acme') as available`, 100],
  ['a deduction', `select available from credits.deduct_credits('acme', 1, 'call')`, 99],
])('%s reads the grants at most once', async (_, query, available) => {
  expect(await reading(query)).toEqual({ available, times: 1 });
});
